"""Which schedule a command is about, and what it is made of."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.asking import project_option

if TYPE_CHECKING:
    from gateway.client import Client

F = TypeVar("F", bound=Callable[..., Any])
OVERLAPS = ("skip", "queue", "cancel-running", "allow")
MISFIRES = ("skip", "run-once", "run-all")


def schedule_argument(function: F) -> F:
    """`SCHEDULE` (id or name) and `--project-id`, as `schedule` and `project`."""
    return click.argument("schedule")(project_option(function))


def timing_options(function: F) -> F:
    """What says when, each by the name of its field in the body."""
    options = (
        click.option("--zone", "time_zone", metavar="ZONE", help="IANA time zone, e.g. Europe/Berlin; by default UTC."),
        click.option(
            "--start", "start_date", metavar="DATE", help="First date (2026-12-31) or time (2026-12-31T18:00) there."
        ),
        click.option("--end", "end_date", metavar="DATE", help="Last date or time there at which it may fire."),
    )
    return _all(function, options)


def policy_options(function: F) -> F:
    """What says how, each by the name of its field in the body, but `connection`; see `chosen`."""
    options = (
        click.option(
            "--connection-id", "--connection", "connection", help="Id or name of your connection; by default the run's."
        ),
        click.option("--compute-budget-account", help="Account that is billed; by default the run's."),
        click.option(
            "--overlap",
            "overlap_policy",
            type=click.Choice(OVERLAPS),
            help="While a run of it is live; by default skip.",
        ),
        click.option(
            "--misfire",
            "misfire_policy",
            type=click.Choice(MISFIRES),
            help="For times that were missed; by default skip.",
        ),
        click.option("--misfire-most", type=click.IntRange(1, 100), help="Most runs of run-all; by default 10."),
        click.option(
            "--grace",
            "grace_seconds",
            type=click.IntRange(60, 604_800),
            help="Seconds a firing may be late; by default 600.",
        ),
        click.option(
            "--max-failures",
            type=click.IntRange(0, 1000),
            help="Failed runs in a row after which it pauses itself; 0 for never; by default 3.",
        ),
        click.option(
            "--consent",
            "follow_branch_consent",
            help="The sentence that lets it follow a branch; the gateway says which.",
        ),
    )
    return _all(function, options)


def chosen(client: "Client", options: Mapping[str, object]) -> dict[str, Any]:
    """Fields of a body, without those that were not given; a connection by its id or name."""
    values = {name: value for name, value in options.items() if value is not None}
    if connection := values.pop("connection", None):
        values["connection_id"] = client.connections.get(str(connection)).connection_id
    return values


def _all(function: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        function = option(function)
    return function
