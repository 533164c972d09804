"""`mantik runs list`."""

from itertools import islice
from typing import TYPE_CHECKING

import click

from gateway.cli.asking import gateway, project_option
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show_rows
from gateway.cli.runs.ending import took
from gateway.cli.text import age, duration

if TYPE_CHECKING:
    from gateway.schemas.runs import RunView

STATES = ("CREATED", "PREPARING", "SUBMITTING", "QUEUED", "STARTING", "RUNNING", "FINISHED", "FAILED", "CANCELLED")
_COLUMNS = ("NAME", "STATE", "CREATED", "TOOK", "ID")
_WIDE = ("NAME", "STATE", "REASON", "CREATED", "TOOK", "SITE", "ACCOUNT", "JOB", "NODES", "BY", "ID")


@click.command("list", cls=Command)
@project_option
@click.option("--state", "states", multiple=True, type=click.Choice(STATES, case_sensitive=False), help="Repeatable.")
@click.option("--experiment-repository-id", "--experiment", "experiment", help="Only of this one, by id or name.")
@click.option("--mine", is_flag=True, help="Only those that you created.")
@click.option("--text", help="Only those with this text in the name.")
@click.option("-n", "--limit", type=click.IntRange(1), default=30, show_default=True, help="Most runs to show.")
@click.option("--wide", is_flag=True, help="More columns.")
@output_option
def command(
    project: str | None,
    states: tuple[str, ...],
    experiment: str | None,
    mine: bool,
    text: str | None,
    limit: int,
    wide: bool,
    output: str,
) -> None:
    """List the runs of a project, newest first."""
    from gateway.client import RunFilter

    with gateway(project) as client:
        chosen = RunFilter(
            states=tuple(states),  # type: ignore[arg-type]  # those of STATES
            experiment=client.experiments.get(experiment).experiment_repository_id if experiment else None,
            created_by=client.me().user_id if mine else None,
            text=text,
        )
        found = list(islice(client.runs.list(chosen, page_size=min(limit + 1, 100)), limit + 1))
    narrowed = bool(states or experiment or mine or text)
    empty = "No run fits." if narrowed else "There is no run yet. To submit one: mantik runs submit --help"
    columns, row = (_WIDE, _wide) if wide else (_COLUMNS, _narrow)
    show_rows(found[:limit], output, columns, row, empty=empty)
    if len(found) > limit:
        click.echo(f"There are more: --limit {limit * 2}", err=True)


def _narrow(run: "RunView") -> list[object]:
    return [run.name, run.state, age(run.created_at), duration(took(run)), run.run_id]


def _wide(run: "RunView") -> list[object]:
    job = run.job
    return [
        run.name,
        run.state,
        run.reason,
        age(run.created_at),
        duration(took(run)),
        run.site_name,
        run.compute_budget_account,
        job.site_job_id if job else "",
        job.nodes if job else "",
        run.user.name,
        run.run_id,
    ]
