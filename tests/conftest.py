"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# A loaded machine is slow, and no test asserts how fast it is.
settings.register_profile("perdure", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("perdure")
