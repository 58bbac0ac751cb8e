"""One function a workload: it takes the settings and gives the figures."""
