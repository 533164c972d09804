"""`mantik schedules describe`."""

from itertools import islice
from typing import TYPE_CHECKING

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show
from gateway.cli.schedules.choice import schedule_argument
from gateway.cli.schedules.history import COLUMNS, row
from gateway.cli.table import fields, table
from gateway.cli.text import moment

if TYPE_CHECKING:
    from gateway.schemas.schedules import ScheduleView

_LAST = 5


@click.command("describe", cls=Command)
@schedule_argument
@output_option
def command(schedule: str, project: str | None, output: str) -> None:
    """Show everything about a schedule, and its last firings."""
    with gateway(project) as client:
        found = client.schedules.get(schedule)
        last = list(islice(client.schedules.history(found.schedule_id, page_size=_LAST), _LAST))
    parts = [fields(_facts(found))]
    if last:
        lines = table(COLUMNS, [row(firing) for firing in last]).splitlines()
        parts.append("\n".join(["Last firings:", *(f"  {line}" for line in lines)]))
    show(found, output, lambda: "\n\n".join(parts))


def _facts(found: "ScheduleView") -> list[tuple[str, object]]:
    misfire = f"{found.misfire_policy}, at most {found.misfire_most}"
    return [
        ("Name", found.name),
        ("Id", found.schedule_id),
        ("State", f"{found.state} ({found.reason})" if found.reason else found.state),
        ("Message", found.message),
        ("Cron", found.cron_expression),
        ("In words", found.in_words),
        ("Time zone", found.time_zone),
        ("Next", found.next_local),
        ("From", found.start_date),
        ("Until", found.end_date),
        ("Repeats", f"{found.run_name} ({found.run_id})"),
        ("Code", "the head of the run's branch" if found.follow_branch else "the run's commit"),
        ("Consent", f"{found.consent.text} ({found.consent.by.name})" if found.consent else None),
        ("Runs as", found.run_as.name),
        ("Connection", found.connection_id),
        ("Site", found.site_name),
        ("Account", found.compute_budget_account),
        ("Overlap", found.overlap_policy),
        ("Misfire", misfire if found.misfire_policy == "run-all" else found.misfire_policy),
        ("Grace time", f"{found.grace_seconds} s"),
        ("Failures", f"{found.failures} in a row, pauses at {found.max_failures}" if found.max_failures else None),
        ("Created by", found.user.name),
        ("Created", moment(found.created_at)),
        ("Changed", moment(found.changed_at)),
    ]
