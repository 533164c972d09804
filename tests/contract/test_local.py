"""The contract over processes of this machine."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from backends.contract import HostCase
from backends.contract.suite import *  # noqa: F403
from backends.local import kind
from backends.spec import Site


class LocalCase(HostCase):
    kind = kind

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.site = Site("local", "this machine", "local", work_directory=str(folder / "work"))

    def config(self, environment: Mapping[str, object]) -> Mapping[str, object]:
        return {"Local": {}, "Environment": environment}


@pytest.fixture
def backend_case(tmp_path: Path) -> LocalCase:
    return LocalCase(tmp_path)
