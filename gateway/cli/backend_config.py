"""The compute backend config of a submit: a file here, or a path in the repository."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.text import plain
from gateway.errors import FieldProblem, InvalidInput


def backend_config(path: Path) -> dict[str, Any] | str:
    """A file that is here is read, checked and sent as what it says. Any other path is one in the repository, and the
    gateway reads it at the run's commit. Raises InvalidInput with file and line."""
    if not path.exists():
        if path.is_absolute():
            raise InvalidInput(
                f"--backend-config {path}: there is no such file.",
                next_step="Give a file on this machine, or a path in the repository.",
            )
        click.echo(f"{plain(path)} is no file here: it is taken from the repository.", err=True)
        return path.as_posix()
    from compute_backend_configs import InvalidConfig, load_config

    try:
        loaded = load_config(path)
    except InvalidConfig as error:
        for warning in error.warnings:
            click.echo(f"Warning: {plain(warning)}", err=True)
        problems = [FieldProblem("", str(p)) for p in error.problems]
        next_step = f"Correct the file, then: mantik configs check {path}"
        raise InvalidInput("The compute backend config is not valid.", problems=problems, next_step=next_step) from None
    for warning in loaded.warnings:
        click.echo(f"Warning: {plain(warning)}", err=True)
    return loaded.config.to_published()
