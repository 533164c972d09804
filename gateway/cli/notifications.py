"""`mantik notifications`."""

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.asking import confirm, gateway, yes_option
from gateway.cli.groups import Group
from gateway.cli.output import output_option, show, show_rows
from gateway.cli.table import fields
from gateway.cli.text import moment, plain
from gateway.cli.values import usage

if TYPE_CHECKING:
    from gateway.client import Client
    from gateway.schemas.subscriptions import SubscriptionView

EVENTS = ("RUN_FAILED", "RUN_LOST", "NEEDS_LOGIN", "SCHEDULE_PAUSED", "BUDGET_GUARD", "CREDENTIAL_ENDING")
F = TypeVar("F", bound=Callable[..., Any])


def _event_option(function: F) -> F:
    option = click.option(
        "--event",
        "events",
        multiple=True,
        type=click.Choice(EVENTS),
        help="What to be told of; may be repeated. By default all.",
    )
    return option(function)


@click.group(cls=Group)
def command() -> None:
    """Be told of failed runs, lost logins, paused schedules and budgets."""


@command.command("add")
@click.argument("name")
@click.option("--url", help="Webhook: an https address of yours. Each message is signed.")
@click.option("--mail", "address", help="Mail address, instead of --url.")
@click.option(
    "--project-id",
    "--project",
    "project",
    metavar="PROJECT",
    help="Id or name of a project; without: your own runs, schedules and connections.",
)
@_event_option
@output_option
def add(
    name: str, url: str | None, address: str | None, project: str | None, events: tuple[str, ...], output: str
) -> None:
    """Be told of events; prints the id. The secret that signs a webhook's messages is shown only now."""
    from gateway.schemas.subscriptions import SaveSubscription

    if (url is None) == (address is None):
        raise usage("Give either --url or --mail.")
    with gateway() as client:
        body = SaveSubscription(
            name=name,
            kind="webhook" if url else "mail",
            url=url,
            address=address,
            project_id=_project(client, project),
            events=list(events) or None,
        )
        made = client.subscriptions.create(body)
    show(made, output, lambda: str(made.subscription_id))
    if made.secret is not None:
        click.echo(f"Secret, shown only now: {made.secret}", err=True)
    click.echo(f"To try it: mantik notifications test {made.subscription_id}", err=True)


@command.command("list")
@output_option
def list_all(output: str) -> None:
    """List what you are told of, and where."""
    with gateway() as client:
        found = list(client.subscriptions.list())
    show_rows(
        found,
        output,
        ("NAME", "TO", "ABOUT", "EVENTS", "STATE", "ID"),
        lambda s: (s.name, s.url or s.address, _about(s), ", ".join(s.events), _state(s), s.subscription_id),
        empty="You are told of nothing yet. To begin: mantik notifications add NAME --url URL",
    )


@command.command("show")
@click.argument("notification")
@output_option
def show_one(notification: str, output: str) -> None:
    """Show one, by name or id; never its secret."""
    with gateway() as client:
        found = client.subscriptions.get(notification)
    shown = [
        ("Name", found.name),
        ("Id", found.subscription_id),
        ("Kind", found.kind),
        ("To", found.url or found.address),
        ("About", _about(found)),
        ("Events", ", ".join(found.events)),
        ("State", _state(found)),
        ("Problem", found.stopped),
        ("Created", moment(found.created_at)),
    ]
    show(found, output, lambda: fields(shown))


@command.command("edit")
@click.argument("notification")
@click.option("--name", help="Its new name.")
@click.option("--url", help="Another address of a webhook.")
@click.option("--mail", "address", help="Another mail address.")
@click.option("--project-id", "--project", "project", metavar="PROJECT", help="Be told of this project instead.")
@click.option("--own", is_flag=True, help="Be told of your own runs, schedules and connections instead.")
@_event_option
@click.option("--on/--off", "enabled", default=None, help="Switch it on or off. What waits is dropped when it is off.")
@output_option
def edit(
    notification: str,
    name: str | None,
    url: str | None,
    address: str | None,
    project: str | None,
    own: bool,
    events: tuple[str, ...],
    enabled: bool | None,
    output: str,
) -> None:
    """Change one; what you do not name stays."""
    from gateway.schemas.subscriptions import SaveSubscription

    if own and project is not None:
        raise usage("Give either --own or --project.")
    with gateway() as client:
        found = client.subscriptions.get(notification)
        wanted = _project(client, project) or (None if own else found.project_id)
        body = SaveSubscription.model_validate(
            {
                "name": name or found.name,
                "kind": found.kind,
                "url": url or found.url,
                "address": address or found.address,
                "project_id": wanted,
                "events": list(events) or found.events,
                "enabled": found.enabled if enabled is None else enabled,
            }
        )
        made = client.subscriptions.replace(found.subscription_id, body)
    show(made, output, lambda: str(made.subscription_id))


@command.command("remove")
@click.argument("notification")
@yes_option
def remove(notification: str, yes: bool) -> None:
    """Be told no more; what waits is not sent."""
    with gateway() as client:
        found = client.subscriptions.get(notification)
        confirm(f"Remove {plain(found.name)} ({found.url or found.address})?", yes=yes)
        client.subscriptions.delete(found.subscription_id)
    click.echo(f"Removed {plain(found.name)}.", err=True)


@command.command("test")
@click.argument("notification")
@output_option
def test(notification: str, output: str) -> None:
    """Have a message sent now, and show what came back. Ends with 8 when it was not delivered."""
    from gateway.errors import SiteProblem

    with gateway() as client:
        found = client.subscriptions.test(notification)
    shown = [
        ("Delivered", "yes" if found.delivered else "no"),
        ("Status", found.status),
        ("Problem", found.problem),
        ("Answer", found.answer),
    ]
    show(found, output, lambda: fields(shown))
    if not found.delivered:
        raise click.exceptions.Exit(SiteProblem.exit_code)


@command.command("deliveries")
@click.argument("notification")
@click.option("-n", "--limit", type=click.IntRange(1), default=30, show_default=True, help="Most messages to show.")
@output_option
def deliveries(notification: str, limit: int, output: str) -> None:
    """Show the messages of the last 30 days, newest first, and what became of each."""
    with gateway() as client:
        pages = client.subscriptions.deliveries(notification, page_size=min(limit + 1, 100))
        found = list(islice(pages, limit + 1))
    show_rows(
        found[:limit],
        output,
        ("HAPPENED", "EVENT", "STATE", "TRIES", "TEXT", "PROBLEM"),
        lambda d: (moment(d.at), d.event, d.state, d.attempts, d.text, d.problem),
        empty="There was nothing to tell yet. To try it: mantik notifications test NAME",
    )
    if len(found) > limit:
        click.echo(f"There are more: --limit {limit * 2}", err=True)


def _project(client: "Client", ref: str | None) -> Any:
    return client.projects.get(ref).project_id if ref else None


def _about(found: "SubscriptionView") -> str:
    if found.project_id is None:
        return "your own"
    return f"project {found.project_name or found.project_id}"


def _state(found: "SubscriptionView") -> str:
    return "on" if found.enabled else "off"
