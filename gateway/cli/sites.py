"""`mantik sites`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.asking import confirm, gateway, yes_option
from gateway.cli.groups import Group
from gateway.cli.output import output_option, say_data, say_result, show, show_rows
from gateway.cli.table import fields
from gateway.cli.text import moment, plain
from gateway.cli.trust import accepted_keys
from gateway.cli.values import text_of, typed_pairs, usage

if TYPE_CHECKING:
    from gateway.schemas.sites import CreateSite, SiteView

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(cls=Group)
def command() -> None:
    """The supercomputers that this gateway knows."""


@command.command("create")
@click.argument("name")
@click.option("--kind", required=True, help="slurm, unicore, local, ...")
@click.option("--host", help="Host of the login node.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of SSH; without: 22.")
@click.option("--url", help="Address of the site's service, e.g. UNICORE's.")
@click.option("--host-keys", type=_FILE, help="File of the host's keys; without, they are fetched and shown.")
@click.option("--jump", help="Host to go through, [user@]host[:port].")
@click.option("--tls-ca", type=_FILE, help="File of the authority that signed the site's certificate.")
@click.option("--no-verify-tls", is_flag=True, help="Do not check the site's certificate. Not safe.")
@click.option("--work-directory", default="$HOME/mantik", show_default=True, help="Where runs live on the site.")
@click.option(
    "--compute-nodes-reach-gateway",
    type=click.Choice(["direct", "proxy", "no"]),
    default="direct",
    show_default=True,
    help="How jobs reach the gateway.",
)
@click.option(
    "--tracking",
    type=click.Choice(["local", "direct"]),
    default="local",
    show_default=True,
    help="Where jobs track: beside themselves, copied by the gateway, or over HTTP to the gateway.",
)
@click.option("--no-raw-jobs", is_flag=True, help="The site takes no batch scripts of ours.")
@click.option("--whole-nodes-charged", is_flag=True, help="The site charges whole nodes.")
@click.option("--poll-seconds-min", type=float, default=2.0, show_default=True, help="Shortest pause between looks.")
@click.option("--poll-seconds-max", type=float, default=60.0, show_default=True, help="Longest pause between looks.")
@click.option("--lost-after-days", type=int, default=14, show_default=True, help="When a run out of reach is LOST.")
@click.option("--limit", "limits", multiple=True, metavar="KEY=VALUE", help="Limit summed over all users; repeatable.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Option of this kind; repeatable.")
@yes_option
@output_option
def create(yes: bool, output: str, **given: Any) -> None:
    """Add a site (admins only); prints its id.

    With --host and no --host-keys the gateway fetches the host's keys and shows their fingerprints. Compare them with
    those that the site publishes before you say yes.
    """
    from gateway.schemas.sites import CreateSite

    keys, ca = given.pop("host_keys"), given.pop("tls_ca")
    given["limits"] = typed_pairs("--limit", given["limits"])
    given["options"] = typed_pairs("--option", given["options"])
    given["verify_tls"], given["raw_jobs_allowed"] = not given.pop("no_verify_tls"), not given.pop("no_raw_jobs")
    with gateway() as client:
        if keys is not None:
            known = [line for line in text_of("--host-keys", keys).splitlines() if line.strip()]
        elif given["host"]:
            known = accepted_keys(client, given["host"], given["port"] or 22, yes=yes).keys
        else:
            known = []
        authority = text_of("--tls-ca", ca) if ca is not None else None
        made = client.sites.create(CreateSite(host_keys=known, tls_ca=authority, **given))
    show(made, output, lambda: str(made.site_id))
    click.echo(f"To use it: mantik connections create NAME --site {shlex.quote(made.name)}", err=True)


@command.command("list")
@output_option
def list_all(output: str) -> None:
    """List the sites."""
    with gateway() as client:
        found = list(client.sites.list())
    empty = "There is no site yet. An admin adds one: mantik sites create NAME --kind slurm --host HOST"
    columns = ("NAME", "KIND", "WHERE", "ID")
    show_rows(found, output, columns, lambda s: (s.name, s.kind, _where(s), s.site_id), empty=empty)


@command.command("show")
@click.argument("site")
@output_option
def show_one(site: str, output: str) -> None:
    """Show a site, by name or id."""
    with gateway() as client:
        found = client.sites.get(site)
    pairs = [
        ("Name", found.name),
        ("Id", found.site_id),
        ("Kind", found.kind),
        ("State", "paused" if found.paused else None),
        ("Where", _where(found)),
        ("Through", found.jump),
        ("Host keys", len(found.host_keys) or None),
        ("Certificate", None if found.verify_tls else "not checked"),
        ("Work directory", found.work_directory),
        ("Jobs reach us", found.compute_nodes_reach_gateway),
        ("Tracking", "direct" if found.tracking == "direct" else None),
        ("Raw jobs", None if found.raw_jobs_allowed else "refused"),
        ("Charged", "whole nodes" if found.whole_nodes_charged else None),
        ("Looked at", f"every {found.poll_seconds_min:g} to {found.poll_seconds_max:g} s"),
        *((f"Limit {key}", value) for key, value in found.limits.items()),
        *((f"Option {key}", value) for key, value in found.options.items()),
        ("Created", moment(found.created_at)),
    ]
    show(found, output, lambda: fields(pairs))


@command.command("trust")
@click.argument("site")
@yes_option
def trust(site: str, yes: bool) -> None:
    """Take new SSH keys of a site's host, after it was set up anew (admins only).

    Shows the fingerprints of the keys that the host has now; compare them with those that the site publishes.
    """
    with gateway() as client:
        found = client.sites.get(site)
        if not found.host:
            raise usage(f"Site {found.name} has no SSH host.")
        keys = accepted_keys(client, found.host, found.port or 22, yes=yes).keys
        client.sites.replace(found.site_id, _changed(found, host_keys=keys))
    click.echo(f"Site {found.name} is trusted with {len(keys)} keys; waiting runs go on by themselves.", err=True)


@command.command("pause")
@click.argument("site")
def pause(site: str) -> None:
    """Leave a site alone, e.g. during its maintenance (admins only).

    The gateway does not log in there until you resume it; jobs go on, and runs wait as LOST_CONTACT.
    """
    name = _with_pause(site, paused=True)
    click.echo(f"Site {name} is paused. To go on: mantik sites resume {shlex.quote(name)}", err=True)


@command.command("resume")
@click.argument("site")
def resume(site: str) -> None:
    """Go on with a paused site (admins only)."""
    click.echo(f"Site {_with_pause(site, paused=False)} is used again; waiting runs go on by themselves.", err=True)


@command.command("delete")
@click.argument("site")
@yes_option
def delete(site: str, yes: bool) -> None:
    """Delete a site, by name or id (admins only)."""
    with gateway() as client:
        found = client.sites.get(site)
        confirm(f"Delete site {found.name} ({_where(found)})?", yes=yes)
        client.sites.delete(found.site_id)
    click.echo(f"Deleted site {found.name}.", err=True)


@command.command("scan-keys")
@click.argument("host")
@click.option("--port", type=click.IntRange(1, 65535), default=22, show_default=True, help="Port of SSH.")
@yes_option
@output_option
def scan_keys(host: str, port: int, yes: bool, output: str) -> None:
    """Fetch the SSH keys of HOST, show their fingerprints, and print the keys when you confirm them.

    Put them in a file for: mantik sites create --host-keys FILE
    """
    with gateway() as client:
        scanned = accepted_keys(client, host, port, yes=yes)
    if output == "table":
        say_result("\n".join(plain(key) for key in scanned.keys))
    else:
        say_data(scanned.model_dump(mode="json", by_alias=True), output)


def _with_pause(site: str, *, paused: bool) -> str:
    with gateway() as client:
        found = client.sites.get(site)
        client.sites.replace(found.site_id, _changed(found, paused=paused))
    return found.name


def _changed(site: "SiteView", **changes: object) -> "CreateSite":
    """The site as it is, but for these fields."""
    from gateway.schemas.sites import CreateSite

    kept = {name: getattr(site, name) for name in CreateSite.model_fields}
    return CreateSite.model_validate(kept | changes)


def _where(site: "SiteView") -> str:
    if site.url:
        return site.url
    if site.host:
        return f"{site.host}:{site.port}" if site.port else site.host
    return "this machine" if site.kind == "local" else ""
