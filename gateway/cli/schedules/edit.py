"""`mantik schedules edit`."""

from typing import TYPE_CHECKING, Any

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show
from gateway.cli.schedules.choice import chosen, policy_options, schedule_argument, timing_options

if TYPE_CHECKING:
    from gateway.schemas.schedules import ScheduleView


@click.command("edit", cls=Command)
@schedule_argument
@click.option("--name", help="Its new name.")
@click.option("--run", help="Another run to repeat, by id or name.")
@click.option("--cron", "cron_expression", metavar="EXPRESSION", help="Five fields, e.g. '30 2 * * 1-5', or @daily.")
@timing_options
@policy_options
@click.option("--no-start", is_flag=True, help="Take the start date away.")
@click.option("--no-end", is_flag=True, help="Take the end date away.")
@click.option("--follow-branch/--pinned", default=None, help="Run the head of the run's branch, or its commit.")
@output_option
def command(
    schedule: str,
    project: str | None,
    run: str | None,
    no_start: bool,
    no_end: bool,
    output: str,
    **options: Any,
) -> None:
    """Change a schedule, for the future; what is not given stays.

    Whoever edits somebody else's schedule gives a connection of their own: it runs with that from then on.
    """
    from gateway.schemas.schedules import CreateSchedule

    with gateway(project) as client:
        found = client.schedules.get(schedule)
        changes = chosen(client, options)
        if run:
            changes["run_id"] = client.runs.get(run).run_id
        gone = [field for field, taken in (("start_date", no_start), ("end_date", no_end)) if taken]
        body = CreateSchedule.model_validate(_as_it_is(found) | changes | dict.fromkeys(gone))
        made = client.schedules.replace(found.schedule_id, body)
    show(made, output, lambda: str(made.schedule_id))
    if made.next_local:
        click.echo(f"It fires next at {made.next_local}.", err=True)


def _as_it_is(schedule: "ScheduleView") -> dict[str, Any]:
    same = (
        "name",
        "run_id",
        "connection_id",
        "compute_budget_account",
        "cron_expression",
        "time_zone",
        "start_date",
        "end_date",
        "overlap_policy",
        "misfire_policy",
        "misfire_most",
        "grace_seconds",
        "max_failures",
        "follow_branch",
    )
    consent = schedule.consent.text if schedule.consent is not None else None
    return {name: getattr(schedule, name) for name in same} | {
        "enabled": schedule.state != "PAUSED",
        "follow_branch_consent": consent,
    }
