"""The reference pages are made from the code, up to date, and leave nothing out."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from backends.reasons import Reason
from compute_backend_configs.reference import MODELS
from gateway.api import problems
from gateway.cli.application import application
from gateway.cli.failures import EXIT_CODES
from gateway.cli.reference import commands
from gateway.engine.environment import job_environment
from gateway.errors import GatewayError
from gateway.reference import meanings, rest, roles, settings
from gateway.reference.pages import DIRECTORY, PAGES
from gateway.runs.states import ConditionName, State
from gateway.settings import PREFIX, Settings
from tests.docs.pages import ROOT
from tests.gateway.api.test_access_table import ADMIN, LOGIN, PERSON, PUBLIC, SELF, TABLE


def written(name: str) -> str:
    return (DIRECTORY / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(name: str) -> None:
    assert written(name) == PAGES[name](), "run: python -m gateway.reference"


def test_all_are_written_by_one_command(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "gateway.reference", str(tmp_path)]
    # Settings of this machine must not show on the pages.
    environment = {"HOME": str(tmp_path), "MANTIK_PORT": "9999", "MANTIK_MAX_BODY_BYTES": "2048"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {p.name: p.read_text(encoding="utf-8") for p in tmp_path.iterdir()} == {n: written(n) for n in PAGES}


def test_no_page_names_a_place_of_this_machine() -> None:
    places = {str(ROOT), str(Path.home()), sys.prefix}
    assert [(name, place) for name in PAGES for place in places if f"{place}/" in written(name)] == []


def test_every_setting_is_documented() -> None:
    page = written("settings.md")
    assert [n for n, f in Settings.model_fields.items() if f"| `{PREFIX}{n.upper()}` |" not in page] == []
    assert [n for n, f in Settings.model_fields.items() if not f.description] == []


def test_every_variable_of_the_client_is_documented() -> None:
    read = re.compile(r"environ(?:\.get\(|\[)\"(MANTIK_\w+)\"")
    found = {n for part in ("client", "cli") for p in _sources(part) for n in read.findall(p.read_text())}
    assert found <= set(settings.client_variables())


def test_every_variable_of_a_job_is_documented() -> None:
    gateway = SimpleNamespace(public_url="https://gateway.test")
    run = SimpleNamespace(
        **dict.fromkeys(("id", "project_id", "experiment_repository_id", "code_repository_id"), UUID(int=1)),
        compute_budget_account="set",
    )
    sites = [SimpleNamespace(compute_nodes_reach_gateway=reach) for reach in ("direct", "no")]
    about: Any = (gateway, run)
    given = {n for site in sites for n in job_environment(*about, cast(Any, site), "token", ("x", ""))}
    script = (ROOT / "backends/job_script/job.sh.jinja").read_text()
    exported = [line.strip() for line in script.splitlines() if line.strip().startswith("export ")]
    given |= {n for line in exported for n in re.findall(r"(?:^export| ) ?([A-Z][A-Z_]+)=", line)}
    assert set(settings.JOB) == given


def test_every_state_condition_and_reason_has_a_meaning() -> None:
    assert set(meanings.STATES) == set(State)
    assert set(meanings.CONDITIONS) == set(ConditionName)
    assert set(meanings.REASONS) == set(Reason)
    page = written("states-and-reasons.md")
    assert [word for word in (*State, *ConditionName, *Reason) if f"| `{word}` |" not in page] == []


def test_words_that_are_not_given_are_in_use_nowhere() -> None:
    sources = "".join(p.read_text() for part in ("gateway", "backends") for p in (ROOT / part).rglob("*.py"))
    sources = sources.replace((ROOT / "gateway/reference/meanings.py").read_text(), "")
    used = [word for word in meanings.NOT_GIVEN if re.search(rf"\b(Reason|ConditionName)\.{word}\b", sources)]
    assert used == []


def test_every_error_is_documented() -> None:
    own = [GatewayError, *GatewayError.__subclasses__()]
    codes = {c.code for c in own} | {code for code, *_ in problems._HTTP.values()} | {"HTTP_ERROR"}
    page = written("states-and-reasons.md")
    assert [code for code in codes if f"| `{code}` |" not in page] == []
    assert [c.exit_code for c in own if c.exit_code not in EXIT_CODES] == []


def test_every_command_is_documented() -> None:
    page = written("cli.md")
    assert [path for path, command in commands(application()) if not hasattr(command, "commands")
            and f"## {' '.join(path)}\n" not in page] == []  # fmt: skip


def test_every_key_of_the_config_is_documented() -> None:
    page = written("compute-backend-config.md")
    assert [f.alias for m in MODELS.values() for f in m.model_fields.values() if f"| `{f.alias}` |" not in page] == []


def test_every_operation_is_documented() -> None:
    page = written("rest.md")
    document = json.loads(written("openapi.json"))
    for operation in rest.operations():
        assert f"| {operation.method} | `{operation.path}` | `{operation.name}` |" in page
        assert document["paths"][f"/api/v1{operation.path}"][operation.method.lower()]["operationId"] == operation.name


def test_roles_are_those_that_are_tested() -> None:
    words = {PUBLIC: "anybody", LOGIN: roles.LOGIN.least, PERSON: "any user", ADMIN: "admin", SELF: roles.OWN.least}
    same = {"gitConnectionId": "connectionId", "strangerId": "userId", "memberId": "userId"}
    tested = {}
    for row in TABLE:
        path = re.sub(r"{(\w+)}", lambda found: f"{{{same.get(found[1], found[1])}}}", row.path)
        tested[f"{row.method} {path}"] = (words.get(row.least, row.least), row.run)
    said = {f"{o.method} {o.path}": roles.ROLES[o.name][:2] for o in rest.operations()}
    assert said == tested, "gateway/reference/roles.py and the table of tests/gateway/api/test_access_table.py differ"
    assert set(roles.ROLES) == {o.name for o in rest.operations()}


def _sources(part: str) -> list[Path]:
    return sorted((ROOT / "gateway" / part).rglob("*.py"))
