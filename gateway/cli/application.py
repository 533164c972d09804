"""The whole command line with click, and how it ends."""

from collections.abc import Sequence
from typing import Any

import click

from gateway.cli import failures, front
from gateway.cli.groups import Group, be_quiet


class _Top(Group):
    def get_help(self, ctx: click.Context) -> str:
        return front.page().rstrip("\n")


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from gateway.version import NAME, VERSION

        click.echo(f"{NAME} {VERSION}")
        ctx.exit()


def application() -> Group:
    """`mantik` as a click group."""
    version = click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Show the version.",
    )
    return _Top(
        "mantik",
        lazy=front.summaries(),
        package="gateway.cli",
        params=[version],
        help="Runs MLflow projects from git on supercomputers.",
    )


def run(arguments: Sequence[str]) -> int:
    """Run a command line to its end; never a traceback unless asked for."""
    be_quiet()
    try:
        result: Any = application().main(list(arguments), prog_name="mantik", standalone_mode=False)
    except BaseException as error:
        return failures.tell(error)
    return result if isinstance(result, int) else 0
