"""`mantik schedules create`."""

from typing import Any

import click

from gateway.cli.asking import command_line, gateway, project_option
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show
from gateway.cli.schedules.choice import chosen, policy_options, timing_options
from gateway.cli.text import plain


@click.command("create", cls=Command)
@click.argument("name")
@click.option("--run", required=True, help="The run to repeat, by id or name: its commit, parameters and config.")
@click.option("--cron", required=True, metavar="EXPRESSION", help="Five fields, e.g. '30 2 * * 1-5', or @daily.")
@timing_options
@policy_options
@click.option("--follow-branch", is_flag=True, help="Run the head of the run's branch instead of its commit.")
@click.option("--paused", is_flag=True, help="Save it without firing.")
@project_option
@output_option
def command(
    name: str,
    run: str,
    cron: str,
    follow_branch: bool,
    paused: bool,
    project: str | None,
    output: str,
    **options: Any,
) -> None:
    """Repeat a run by the clock; prints the schedule's id."""
    from gateway.schemas.schedules import CreateSchedule

    with gateway(project) as client:
        found = client.runs.get(run).run_id
        fields = chosen(client, options) | {"run_id": found, "follow_branch": follow_branch, "enabled": not paused}
        body = CreateSchedule(name=name, cron_expression=cron, **fields)
        made = client.schedules.create(body)
    show(made, output, lambda: str(made.schedule_id))
    if made.in_words:
        click.echo(f"{plain(made.in_words)} ({plain(made.time_zone)}).", err=True)
    if made.next_local:
        click.echo(f"It fires next at {made.next_local}.", err=True)
    else:
        click.echo(
            f"It is paused. To start it: {command_line(f'mantik schedules resume {made.schedule_id}', project)}",
            err=True,
        )
