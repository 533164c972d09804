"""Commands against a gateway's wire on loopback: what they print where, and how they end."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import clock
from gateway.cli.main import main
from tests.gateway.client.conftest import server, wire
from tests.gateway.client.wire import MADE, Wire

__all__ = ["server", "wire"]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Mantik = Callable[..., Done]


@pytest.fixture
def mantik(wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mantik:
    """Runs `mantik ...` as the command would, in this process, with a home of its own."""
    for name, value in {
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "MANTIK_API_URL": wire.url,
        "MANTIK_USERNAME": "ada",
        "MANTIK_PASSWORD": wire.password,
        "MANTIK_PROJECT_ID": "demo",
        "TZ": "UTC",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    clock.use(lambda: MADE + timedelta(minutes=3))

    def run(*words: str, given: str | None = None, terminal: bool = False) -> Done:
        with CliRunner().isolation(input=given) as (out, err, _):
            for stream in (sys.stdin, sys.stdout):
                setattr(stream, "isatty", lambda: terminal)  # noqa: B010  # a method, for this test
            code = main(words)
            sys.stdout.flush()
            sys.stderr.flush()
            return Done(code, out.getvalue().decode(), err.getvalue().decode())

    return run
