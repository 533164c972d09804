"""Schedules are tried over the same place in which engines are; their clock stands until a test turns it."""

import pytest

from tests.gateway.engine.conftest import git_store, project, settings, yard
from tests.gateway.engine.yard import Yard
from tests.gateway.schedules.office import Office

__all__ = ["git_store", "project", "settings", "yard"]


@pytest.fixture
async def office(yard: Yard) -> Office:
    made = Office(yard)
    await made.open()
    return made
