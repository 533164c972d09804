"""The contract suite: what every backend must keep, as tests.

To run it over a backend of your own, write one file of tests with a fixture `backend_case` and all of the suite:

    from backends.contract.suite import *  # the tests
    from backends.contract import BackendCase

    @pytest.fixture
    async def backend_case(tmp_path): ...  # returns your subclass of BackendCase

The tests are coroutines: pytest-asyncio with `asyncio_mode = auto`.
"""

from backends.contract.case import BackendCase, HostCase
from backends.contract.deeds import (
    AppendsTo,
    Deed,
    Exits,
    GrowsLog,
    Kills,
    Links,
    Prints,
    ShowsVariable,
    WaitsFor,
    WritesArguments,
)

__all__ = [
    "AppendsTo",
    "BackendCase",
    "Deed",
    "Exits",
    "GrowsLog",
    "HostCase",
    "Kills",
    "Links",
    "Prints",
    "ShowsVariable",
    "WaitsFor",
    "WritesArguments",
]
