"""Runs are taken over the same place in which engines are tested."""

from tests.gateway.engine.conftest import git_store, project, settings, yard

__all__ = ["git_store", "project", "settings", "yard"]
