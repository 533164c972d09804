"""`mantik projects retention`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.asking import command_line, confirm, gateway, project_option, yes_option
from gateway.cli.groups import Group
from gateway.cli.output import output_option, show
from gateway.cli.table import fields, table
from gateway.cli.text import moment, plain, size
from gateway.cli.values import usage

if TYPE_CHECKING:
    from gateway.schemas.retention import (
        RetentionDays,
        RetentionItem,
        RetentionPreview,
        RetentionTotals,
        SetRetention,
    )

F = TypeVar("F", bound=Callable[..., Any])
FOR_EVER = "forever"
MOST_DAYS = 36_500


class _Days(click.ParamType[str]):
    """Days, or `forever`."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word = str(value)
        if word == FOR_EVER or (word.isascii() and word.isdecimal() and len(word) <= 5 and 1 <= int(word) <= MOST_DAYS):
            return word
        self.fail(f"give a whole number of days from 1 to {MOST_DAYS}, or {FOR_EVER}.", param, ctx)


def _rule_options(function: F) -> F:
    """`--logs`, `--site-directories` and `--runs`; what is not given stays as it is saved."""
    for name, field, text in (
        ("--runs", "run_days", "Remove runs, with their logs, so many days after their end."),
        ("--site-directories", "site_directory_days", "Remove directories on the site so many days after the end."),
        ("--logs", "log_days", "Remove logs so many days after the end of their run."),
    ):
        option = click.option(name, field, type=_Days(), metavar="DAYS|forever", help=text)
        function = option(function)
    return function


@click.group("retention", cls=Group)
def retention() -> None:
    """How long a project keeps logs, directories on the site, and runs."""


@retention.command("show")
@project_option
@output_option
def show_rules(project: str | None, output: str) -> None:
    """Show the rules of a project."""
    with gateway(project) as client:
        found = client.retention.get()
    by = plain(found.changed_by.name) if found.changed_by is not None else None
    shown = [*_kept(found), ("Changed", moment(found.changed_at)), ("Changed by", by)]
    show(found, output, lambda: fields(shown))


@retention.command("preview")
@_rule_options
@click.option("-n", "--limit", type=click.IntRange(1, 200), default=30, show_default=True, help="Most runs to show.")
@project_option
@output_option
def preview(limit: int, project: str | None, output: str, **days: str | None) -> None:
    """Show what would go now, by the saved rules or by those you give. Nothing is removed."""
    with gateway(project) as client:
        found = client.retention.preview(_changed(client.retention.get(), days), limit=limit)
    columns = ("RUN", "ENDED", "GOES", "LOG", "WHY IT STAYS", "RUN ID")
    if found.items or output != "table":
        show(found, output, lambda: table(columns, [_row(item) for item in found.items]))
    _say_totals(found)
    if found.next_cursor is not None:
        wider = f"--limit {min(200, limit * 2)}" if limit < 200 else "retention.due() of the Python client brings all."
        click.echo(f"There are more: {wider}", err=True)


@retention.command("set")
@_rule_options
@yes_option
@project_option
@output_option
def set_rules(yes: bool, project: str | None, output: str, **days: str | None) -> None:
    """Change the rules; what you do not name stays. Shows what would go, and asks, before a rule is made shorter.

    A script has to give --yes then. Prints the rules.
    """
    if not any(days.values()):
        raise usage("Give --logs, --site-directories or --runs.")
    with gateway(project) as client:
        before = client.retention.get()
        wanted = _changed(before, days)
        if _shorter(before, wanted):
            _agree(client.retention.preview(wanted, limit=1), project, yes=yes)
        made = client.retention.set(wanted)
    show(made, output, lambda: fields(_kept(made)))


def _agree(found: "RetentionPreview", project: str | None, *, yes: bool) -> None:
    """Say what would go; ask for it on a terminal, and without one demand --yes."""
    import sys

    _say_totals(found)
    if yes or not _goes(found.totals):
        return
    if not sys.stdin.isatty():
        see = command_line("mantik projects retention preview", project)
        raise usage(f"Nothing was changed. Add --yes to remove that; to see it: {see}")
    confirm("Remove that, and from now on what comes to its end?", yes=False)


def _changed(before: "RetentionDays", days: dict[str, str | None]) -> "SetRetention":
    """The rules with what was given."""
    from gateway.schemas.retention import SetRetention

    given = {name: None if word == FOR_EVER else int(word) for name, word in days.items() if word is not None}
    kept = {name: getattr(before, name) for name in SetRetention.model_fields}
    return SetRetention(**{**kept, **given})


def _shorter(before: "RetentionDays", wanted: "SetRetention") -> bool:
    """Whether something goes earlier than before, or at all. A rule for directories makes runs take theirs along."""
    for name in type(wanted).model_fields:
        was, will = getattr(before, name), getattr(wanted, name)
        if will is not None and (was is None or will < was):
            return True
    return False


def _kept(rules: "RetentionDays") -> list[tuple[str, object]]:
    return [
        ("Logs", _words(rules.log_days)),
        ("Site directories", _words(rules.site_directory_days)),
        ("Runs", _words(rules.run_days)),
    ]


def _words(days: int | None) -> str:
    if days is None:
        return "kept for ever"
    return f"removed {_count(days, 'day', 'days')} after the end of the run"


def _row(item: "RetentionItem") -> tuple[object, ...]:
    goes = [word for word, is_so in (("run", item.run), ("log", item.log), ("directory", item.site_directory)) if is_so]
    why = item.stays or (f"Tried again: {item.problem}" if item.problem else None)
    return item.name, moment(item.ended_at), ", ".join(goes), size(item.log_bytes), why, item.run_id


def _goes(totals: "RetentionTotals") -> bool:
    return bool(totals.runs or totals.logs or totals.site_directories)


def _say_totals(found: "RetentionPreview") -> None:
    totals = found.totals
    if _goes(totals):
        parts = (
            _count(totals.runs, "run", "runs"),
            f"{_count(totals.logs, 'log', 'logs')} ({size(totals.log_bytes)})",
            _count(totals.site_directories, "directory on its site", "directories on their sites"),
        )
        click.echo(f"Would go now: {', '.join(parts)}. What goes does not come back.", err=True)
    else:
        click.echo("Nothing would go now.", err=True)
    if totals.stay:
        click.echo(f"{_count(totals.stay, 'run is', 'runs are')} still needed and would stay.", err=True)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
