"""How a command ends badly: one sentence, the next step, an exit code. Details go to the debug log."""

import logging
import os
import signal
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.groups import is_verbose
from gateway.cli.text import plain
from gateway.errors import FieldProblem, GatewayError, InvalidInput

RUN_FAILED = 10
RUN_CANCELLED = 11
INTERRUPTED = 130
EXIT_CODES = {
    0: "Done.",
    1: "Unexpected error, here or in the gateway.",
    2: "The command line, a file or a value is not valid.",
    3: "Not logged in.",
    4: "Not allowed.",
    5: "Not found.",
    6: "Contradicts what is there.",
    7: "Too many requests or live runs.",
    8: "The site refused, or could not be reached.",
    9: "The gateway could not be reached.",
    RUN_FAILED: "The run failed without an exit code of its own.",
    RUN_CANCELLED: "The run was cancelled.",
    12: "The run had not ended when the time of `--timeout` was over.",
    INTERRUPTED: "Interrupted by Ctrl-C.",
}


def tell(error: BaseException) -> int:
    """Say it on stderr; the exit code."""
    if isinstance(error, GatewayError):
        say_error(error)
        return error.exit_code
    if (invalid := _invalid(error)) is not None:
        say_error(invalid)
        return invalid.exit_code
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx is not None else "mantik"
        _say(error.format_message(), f"{command} --help")
        return 2
    if isinstance(error, click.ClickException):
        _say(error.format_message(), "")
        return 2
    if isinstance(error, BrokenPipeError):  # `mantik runs logs | head`: nobody reads on
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  # else Python complains when it closes the old one
        return 128 + signal.SIGPIPE
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return _unexpected(error)


def _invalid(error: BaseException) -> InvalidInput | None:
    """What the schemas do not take, before it was sent; what was given is not repeated, it may be a secret."""
    if "pydantic" not in sys.modules:
        return None
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return None
    found = error.errors(include_input=False, include_url=False)
    return InvalidInput(problems=[FieldProblem(".".join(map(str, e["loc"])), f"{e['msg']}.") for e in found])


def say_error(error: GatewayError) -> None:
    """Message, one line per field, next step."""
    lines = [plain(error.message)]
    lines += [f"  {plain(p.field)}: {plain(p.message)}" if p.field else f"  {plain(p.message)}" for p in error.problems]
    _say("\n".join(lines), plain(error.next_step))


def _say(message: str, next_step: str) -> None:
    click.echo(f"Error: {message}", err=True)
    if next_step:
        click.echo(f"Next: {next_step}", err=True)


def _unexpected(error: BaseException) -> int:
    details = "".join(traceback.format_exception(error))
    place = _write(details)
    where = f"Details: {place}" if place else "Details: run the command again with -v"
    _say(f"Something unexpected went wrong in mantik ({type(error).__name__}).", where)
    if is_verbose():
        click.echo(details, err=True, nl=False)
    return 1


def _write(details: str) -> Path | None:
    """The debug log, readable by its owner only."""
    import platformdirs

    path = platformdirs.user_state_path("mantik") / "debug.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
            file.write(f"--- {datetime.now(UTC).isoformat()} {sys.argv[1:2]}\n{details}")
    except OSError:
        logging.getLogger("gateway.cli").debug("no debug log at %s", path)
        return None
    return path
