"""`mantik runs logs`."""

import codecs
import sys
from typing import TYPE_CHECKING

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command
from gateway.cli.runs.choice import run_argument
from gateway.cli.runs.ending import exit_code
from gateway.cli.runs.following import follow as follow_run
from gateway.cli.text import ForTerminal

if TYPE_CHECKING:
    from uuid import UUID

    from gateway.client import Client


@click.command("logs", cls=Command)
@run_argument
@click.option("--follow/--no-follow", default=True, help="Go on until the run has ended.  [default: follow]")
@click.option("-n", "--tail", type=click.IntRange(0, 100_000), metavar="N", help="Begin with the last N lines.")
@click.option("--since", metavar="POSITION", help="Begin at a position that was printed when you stopped following.")
def command(run: str, project: str | None, follow: bool, tail: int | None, since: str | None) -> None:
    """Show the log of a run, live until it ends.

    Of a large log the first and the last part are shown; --no-follow prints all that is stored. Ctrl-C leaves the run
    alone. When the run ends while you follow, the exit code is that of the run.
    """
    from gateway.client.run_flows import position
    from gateway.schemas.runs import FINAL_STATES

    if tail is not None and since is not None:
        raise click.UsageError("Give --tail or --since, not both.", click.get_current_context())
    start = position(since) if since is not None else None
    with gateway(project) as client:
        found = client.runs.get(run)
        if not follow:
            _print(client, found.run_id, tail, start)
            return
        live = found.state not in FINAL_STATES
        ended = follow_run(client, found.run_id, project, since=start, tail=tail)
    if live:
        raise click.exceptions.Exit(exit_code(ended))


def _print(client: "Client", run_id: "UUID", tail: int | None, since: str | None) -> None:
    """The bytes as they are stored; to a terminal what is safe there."""
    pieces = client.runs.read_log(run_id, since=since or "0.0", tail=tail)
    if sys.stdout.isatty():
        shown, decoder = ForTerminal(), codecs.getincrementaldecoder("utf-8")("replace")
        for piece in pieces:
            sys.stdout.write(shown.feed(decoder.decode(piece.data)))
        sys.stdout.flush()
        return
    stdout = sys.stdout.buffer
    for piece in pieces:
        stdout.write(piece.data)
    stdout.flush()
