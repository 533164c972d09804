"""`mantik configs`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.groups import Group
from gateway.cli.output import output_option, say_data, say_result
from gateway.cli.text import plain

if TYPE_CHECKING:
    from compute_backend_configs.problems import ConfigProblem


@click.group(cls=Group)
def command() -> None:
    """Check compute backend configs."""


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@output_option
def check(file: Path, output: str) -> None:
    """Check a compute backend config: exit code 0 when it is valid, 1 when not.

    Each finding names file, line and field. The gateway is not asked.
    """
    from compute_backend_configs.report import check_file

    report = check_file(file)
    if output == "table":
        lines = [_finding(problem) for problem in report.problems]
        say_result("\n".join([*lines, f"{plain(file)}: {'valid' if report.ok else 'not valid'}"]))
    else:
        say_data(report.to_dict(), output)
    raise click.exceptions.Exit(0 if report.ok else 1)


def _finding(problem: "ConfigProblem") -> str:
    place = str(problem.file) if problem.line is None else f"{problem.file}:{problem.line}"
    field = f"{problem.field}: " if problem.field else ""
    return plain(f"{place}: {problem.severity}: {field}{problem.message}")
