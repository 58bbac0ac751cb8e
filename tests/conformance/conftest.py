"""Failures of the shipped suite shall show the values compared."""

import pytest

pytest.register_assert_rewrite("perdure.testing.conformance")
