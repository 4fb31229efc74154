"""Services that tests need and a machine may lack."""

import os

import pytest


def need(is_there: bool, missing: str) -> None:
    """Skip what runs if it ``is_there`` not, or fail it where all services are required."""
    if not is_there and os.environ.get("SANJI_SERVICES") == "require":
        pytest.fail(missing)
    if not is_there:
        pytest.skip(missing)
