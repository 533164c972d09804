"""`mantik budget`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.asking import gateway, project_option
from gateway.cli.groups import Group
from gateway.cli.output import output_option, show
from gateway.cli.table import fields, table
from gateway.cli.text import hours, moment
from gateway.cli.values import usage

if TYPE_CHECKING:
    from gateway.schemas.budgets import BudgetView, HoursView

GUARDS = ("off", "warn", "refuse")
NO_CAP = "none"
F = TypeVar("F", bound=Callable[..., Any])


class _Cap(click.ParamType[Any]):
    """Hours, or `none`."""

    name = "hours"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == NO_CAP else click.FloatRange(min=0).convert(value, param, ctx)


def _cap(name: str, text: str) -> Callable[[F], F]:
    return click.option(name, type=_Cap(), metavar="HOURS|none", help=text)


@click.group(cls=Group)
def command() -> None:
    """What the runs of a project may cost, and what they come to."""


@command.command("show")
@project_option
@output_option
def show_one(project: str | None, output: str) -> None:
    """Show the guard, its caps, and what the runs of this month come to."""
    with gateway(project) as client:
        found = client.budget.get()
    show(found, output, lambda: _page(found))


@command.command("set")
@click.option("--guard", type=click.Choice(GUARDS), help="Say it when a run is above a cap, or refuse it.")
@_cap("--run-core-hours", "Most core-hours that one run may cost.")
@_cap("--run-gpu-hours", "Most GPU-hours that one run may cost.")
@_cap("--month-core-hours", "Most core-hours of all runs of a calendar month.")
@_cap("--month-gpu-hours", "Most GPU-hours of all runs of a calendar month.")
@click.option("--zone", help="Time zone of the months, such as Europe/Berlin.")
@project_option
@output_option
def set_one(guard: str | None, zone: str | None, project: str | None, output: str, **given: Any) -> None:
    """Change the guard (maintainers); what you do not name stays. Runs that were accepted go on."""
    from gateway.schemas.budgets import SetBudget

    if guard is None and zone is None and all(value is None for value in given.values()):
        raise usage("Nothing to change. Give --guard, a cap such as --month-core-hours, or --zone.")
    with gateway(project) as client:
        now = client.budget.get()
        body = SetBudget.model_validate(
            {
                "budget_guard": guard or now.budget_guard,
                "time_zone": zone or now.time_zone,
                "per_run": _caps("run", now.per_run, given),
                "per_month": _caps("month", now.per_month, given),
            }
        )
        made = client.budget.set(body)
    show(made, output, lambda: _page(made))


def _caps(per: str, now: "HoursView", given: dict[str, Any]) -> dict[str, float | None]:
    found = {}
    for name in ("core_hours", "gpu_hours"):
        asked = given[f"{per}_{name}"]
        found[name] = getattr(now, name) if asked is None else None if asked == NO_CAP else asked
    return found


def _page(found: "BudgetView") -> str:
    pairs = [
        ("Guard", found.budget_guard),
        ("Month", f"{found.month} ({found.time_zone})"),
        ("Estimated", f"{found.estimated_runs} ended runs count their worst case" if found.estimated_runs else None),
        (
            "Unknown",
            f"{found.unknown_runs} runs count nothing: their cost is not known" if found.unknown_runs else None,
        ),
        ("As of", moment(found.as_of)),
        ("Changed", _changed(found)),
    ]
    rows = [_row("core-hours", "core_hours", found), _row("GPU-hours", "gpu_hours", found)]
    columns = ("UNIT", "PER RUN", "PER MONTH", "SPENT", "RESERVED", "LEFT")
    return f"{fields(pairs)}\n\n{table(columns, rows)}"


def _row(unit: str, name: str, found: "BudgetView") -> list[str]:
    shown = (found.per_run, found.per_month, found.spent, found.reserved, found.left)
    return [unit, *(hours(getattr(one, name)) for one in shown)]


def _changed(found: "BudgetView") -> str | None:
    return f"{moment(found.changed_at)} by {found.changed_by.name}" if found.changed_by is not None else None
