"""Budget guards are tried over the same place in which engines are tested; runs ask for so many core-hours."""

import pytest

from tests.gateway.budgets.till import Till
from tests.gateway.engine.conftest import git_store, project, settings, yard
from tests.gateway.engine.yard import Yard
from tests.gateway.schedules.conftest import office

__all__ = ["git_store", "office", "project", "settings", "yard"]


@pytest.fixture
def till(yard: Yard) -> Till:
    return Till(yard)
