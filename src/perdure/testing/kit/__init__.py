"""The test kit for users: an environment with a virtual clock, mocks, faults. Public as `perdure.testing`."""
