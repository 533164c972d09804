"""Kinds of site by entry point."""

from importlib.metadata import EntryPoint
from unittest.mock import patch

import pytest

from backends import registry
from backends.errors import InvalidJob


@pytest.fixture(autouse=True)
def fresh() -> None:
    registry.kind.cache_clear()


def given(*entries: tuple[str, str]) -> object:
    found = [EntryPoint(name, value, registry.GROUP) for name, value in entries]
    return patch.object(registry, "entry_points", lambda group: found)


def test_a_kind_is_loaded_by_its_name() -> None:
    with given(("local", "backends.local:kind")):  # type: ignore[attr-defined]
        assert registry.kind("local").name == "local"
        assert registry.names() == ["local"]


def test_an_unknown_kind_names_those_there_are() -> None:
    with given(("local", "backends.local:kind")), pytest.raises(InvalidJob, match=r"'pbs'.*local"):  # type: ignore[attr-defined]
        registry.kind("pbs")


def test_a_kind_whose_packages_are_missing_says_what_to_install() -> None:
    with given(("x", "no_such_package:kind")), pytest.raises(InvalidJob, match=r"mantik-gateway\[x\]"):  # type: ignore[attr-defined]
        registry.kind("x")
