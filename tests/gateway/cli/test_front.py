import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway.cli import front
from gateway.cli.application import application
from gateway.cli.main import main
from gateway.cli.reference import commands
from tests.gateway.cli.conftest import Mantik


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_first_page(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out == front.page()


def test_the_first_page_is_that_of_click() -> None:
    root = application()
    assert root.get_help(click.Context(root)) + "\n" == front.page()


def test_each_line_of_help_is_the_first_of_the_command_itself() -> None:
    root = application()
    lines = dict(front.summaries())
    for path, command in commands(root):
        if len(path) == 2:
            assert command.get_short_help_str(100) == lines[path[1]]


def test_the_nearest_command_is_named(mantik: Mantik) -> None:
    done = mantik("rnus")
    assert (done.code, done.out) == (2, "")
    assert done.err == "Error: There is no command mantik rnus. Did you mean mantik runs?\nNext: mantik --help\n"
    done = mantik("runs", "sumbit", "x")
    assert done.err == (
        "Error: There is no command mantik runs sumbit. Did you mean mantik runs submit?\nNext: mantik runs --help\n"
    )
    assert mantik("zzz").err == "Error: There is no command mantik zzz.\nNext: mantik --help\n"


def test_a_wrong_option(mantik: Mantik) -> None:
    done = mantik("runs", "list", "--stat", "RUNNING")
    assert done.code == 2
    assert "No such option" in done.err
    assert done.err.endswith("Next: mantik runs list --help\n")


def test_an_unexpected_error_is_a_sentence_and_a_log(
    mantik: Mantik, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("gateway.client.names.find", fail)
    monkeypatch.setattr("gateway.client.listings.find", fail)
    done = mantik("projects", "show", "demo")
    log = tmp_path / "state" / "mantik" / "debug.log"
    assert done.code == 1
    assert done.err == (f"Error: Something unexpected went wrong in mantik (RuntimeError).\nNext: Details: {log}\n")
    assert "boom" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    assert "RuntimeError: boom" in mantik("projects", "show", "demo", "-v").err


def test_verbose_says_what_is_asked_and_no_secret(mantik: Mantik) -> None:
    done = mantik("projects", "list", "-v")
    assert "GET http://127.0.0.1" in done.err
    assert "correct horse" not in done.err
    assert "access-" not in done.err
    assert "GET" not in mantik("projects", "list").err


def test_without_address(mantik: Mantik, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MANTIK_API_URL")
    assert mantik("projects", "list").err == (
        "Error: MANTIK_API_URL is not set.\n"
        "Next: Set it to the address of your gateway, e.g. export MANTIK_API_URL=https://host/api/v1\n"
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(mantik: Mantik, shell: str) -> None:
    done = mantik("completion", shell)
    assert "_MANTIK_COMPLETE" in done.out
    assert done.err.startswith("To use it: ")


def test_completion_completes() -> None:
    words = {"_MANTIK_COMPLETE": "bash_complete", "COMP_WORDS": "mantik runs ca", "COMP_CWORD": "2"}
    code = "from gateway.cli.main import main; import sys; sys.exit(main([]))"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **words}, capture_output=True, text=True)
    assert done.stdout == "plain,cancel\n"


def test_version(mantik: Mantik) -> None:
    assert mantik("--version").out.startswith("mantik-gateway ")
