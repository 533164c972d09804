"""Commands and groups as ours: loaded when they are used, `-v` on each, the nearest name for a wrong one."""

import difflib
import importlib
import logging
import sys
from collections.abc import Mapping
from typing import Any

import click

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A command with `-v`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", HELP)
        super().__init__(*args, **kwargs)
        text = "Say what is asked of the gateway, and the details of an unexpected error."
        # Not exposed: no function needs it.
        option = click.Option(["-v", "--verbose"], is_flag=True, expose_value=False, callback=_verbose, help=text)
        self.params.append(option)


class Group(click.Group):
    """`lazy`: commands in modules of their own below `package`, each with its line of help."""

    command_class = Command

    def __init__(self, *args: Any, lazy: Mapping[str, str] | None = None, package: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", HELP)
        super().__init__(*args, **kwargs)
        self._lazy, self._package = dict(lazy or {}), package

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(f"{self._package}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f" Did you mean {ctx.command_path} {near[0]}?" if near else ""
            raise click.UsageError(f"There is no command {ctx.command_path} {name}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self._lazy.get(name) or self._line(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _line(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=100) if command is not None else ""


def is_verbose() -> bool:
    return logging.getLogger("gateway").isEnabledFor(logging.DEBUG)


def be_quiet() -> None:
    """As without `-v`."""
    logging.getLogger("gateway").setLevel(logging.NOTSET)


def _verbose(_: click.Context, __: click.Parameter, value: bool) -> None:
    if value:
        talk = logging.StreamHandler(sys.stderr)
        talk.setFormatter(logging.Formatter("%(message)s"))
        logger = logging.getLogger("gateway")
        logger.handlers, logger.propagate = [talk], False
        logger.setLevel(logging.DEBUG)
