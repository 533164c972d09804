"""`mantik schedules preview`."""

import click

from gateway.cli.asking import gateway, project_option
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show
from gateway.cli.schedules.choice import timing_options
from gateway.cli.table import table
from gateway.cli.text import plain
from gateway.cli.values import usage


@click.command("preview", cls=Command)
@click.argument("schedule", required=False)
@click.option("--cron", metavar="EXPRESSION", help="Instead of SCHEDULE: five fields, e.g. '30 2 * * 1-5', or @daily.")
@timing_options
@click.option("-n", "--count", type=click.IntRange(1, 100), default=10, show_default=True, help="How many firings.")
@project_option
@output_option
def command(
    schedule: str | None,
    cron: str | None,
    time_zone: str | None,
    start_date: str | None,
    end_date: str | None,
    count: int,
    project: str | None,
    output: str,
) -> None:
    """Show the next firings in the zone and in UTC, and what clock changes do to them.

    Of a schedule, or with --cron of an expression before anything is saved.
    """
    if (schedule is None) == (cron is None):
        raise usage("Give either SCHEDULE or --cron.")
    if schedule is not None and (time_zone or start_date or end_date):
        raise usage("--zone, --start and --end go with --cron; a schedule has its own.")
    with gateway(project) as client:
        if schedule is not None:
            found = client.schedules.preview(schedule, count)
        else:
            when = {"start": start_date, "end": end_date}
            found = client.schedules.preview_of(cron or "", time_zone or "UTC", count=count, **when)
    rows = [(f.local, f"{f.at:%Y-%m-%d %H:%M}", f.note) for f in found.firings]
    show(found, output, lambda: table(("LOCAL", "UTC", "NOTE"), rows))
    words = f": {found.in_words}" if found.in_words else ""
    click.echo(plain(f"{found.cron_expression} ({found.time_zone}){words}"), err=True)
    for change in found.clock_changes:
        click.echo(plain(change), err=True)
    if found.ends:
        click.echo(plain(found.ends), err=True)
