"""Retention is tried over the same place in which engines are."""

import pytest

from tests.gateway.engine.conftest import git_store, project, settings, yard
from tests.gateway.engine.yard import Yard
from tests.gateway.retention.archive import Archive

__all__ = ["git_store", "project", "settings", "yard"]


@pytest.fixture
def archive(yard: Yard) -> Archive:
    return Archive(yard)
