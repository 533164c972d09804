"""Following a run's log: the log on stdout, states on stderr, and what Ctrl-C means."""

import sys
from typing import TYPE_CHECKING

import click

from gateway.cli.asking import command_line
from gateway.cli.failures import INTERRUPTED
from gateway.cli.runs.ending import exit_code, sentence
from gateway.cli.text import ForTerminal, plain, size

if TYPE_CHECKING:
    from uuid import UUID

    from gateway.client import Client, LogEvent
    from gateway.schemas.runs import RunDetails


class _Screen:
    """Log and talk on one terminal: talk begins on a line of its own."""

    def __init__(self, *, log_on_stderr: bool) -> None:
        self._log_on_stderr = log_on_stderr
        self._in_line = False
        stream = sys.stderr if log_on_stderr else sys.stdout
        self._terminal = ForTerminal() if stream.isatty() else None

    def log(self, text: str) -> None:
        """To a terminal what is safe there, to a file or a program all of it."""
        shown = self._terminal.feed(text) if self._terminal else text.encode()
        click.echo(shown, nl=False, err=self._log_on_stderr)
        self._in_line = not text.endswith("\n")

    def talk(self, text: str) -> None:
        if self._in_line:
            click.echo(err=True)
            self._in_line = False
        click.echo(text, err=True)


def follow(
    client: "Client",
    run_id: "UUID",
    project: str | None,
    *,
    since: str | None = None,
    tail: int | None = None,
    log_on_stderr: bool = False,
    warn: bool = False,
) -> "RunDetails":
    """Show the log until the run has ended; the run. Ctrl-C leaves the run alone and ends the command.

    With `warn` the warnings of the run are told as soon as it is planned."""
    screen = _Screen(log_on_stderr=log_on_stderr)
    position = since
    try:
        for event in client.runs.logs(run_id, follow=True, since=since, tail=tail):
            position = event.position
            _tell(screen, event, run_id, project)
            if warn and event.kind == "state" and event.text != "CREATED":
                warn = False
                for text in client.runs.get(run_id).warnings:
                    screen.talk(f"Warning: {plain(text)}")
        run = client.runs.get(run_id)
    except KeyboardInterrupt:
        again = f"mantik runs logs {run_id}" + (f" --since {position}" if position else "")
        screen.talk("Stopped following; the run goes on.")
        screen.talk(f"  To follow it again: {command_line(again, project)}")
        screen.talk(f"  To cancel it:       {command_line(f'mantik runs cancel {run_id}', project)}")
        raise click.exceptions.Exit(INTERRUPTED) from None
    screen.talk(sentence(run))
    if exit_code(run):
        screen.talk(f"Next: {command_line(f'mantik runs describe {run_id}', project)}")
    return run


def _tell(screen: _Screen, event: "LogEvent", run_id: "UUID", project: str | None) -> None:
    if event.kind == "log":
        screen.log(event.text)
    elif event.kind == "gap":
        whole = command_line(f"mantik runs logs {run_id} --no-follow", project)
        screen.talk(f"... {size(event.skipped)} left out here; the whole log: {whole}")
    elif event.kind == "generation":
        screen.talk("... the site replaced the log; this is the new one")
    elif event.kind == "state":
        screen.talk(f"Run is {plain(event.text)}.")
