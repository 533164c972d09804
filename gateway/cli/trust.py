"""Host keys that a person looked at."""

import sys
from typing import TYPE_CHECKING

import click

from gateway.cli.asking import confirm
from gateway.cli.text import plain
from gateway.cli.values import usage

if TYPE_CHECKING:
    from gateway.client import Client
    from gateway.schemas.sites import ScannedHostKeys


def accepted_keys(client: "Client", host: str, port: int, *, yes: bool) -> "ScannedHostKeys":
    """What the host shows, once its fingerprints are confirmed; a script confirms by `--yes` only."""
    scanned = client.sites.scan_host_keys(host, port)
    click.echo(f"{plain(scanned.host)}:{scanned.port} shows these keys:", err=True)
    for fingerprint in scanned.fingerprints:
        click.echo(f"  {plain(fingerprint)}", err=True)
    if not yes and not sys.stdin.isatty():
        raise usage("The keys are not confirmed: compare the fingerprints, then give --yes.")
    confirm("Are these the fingerprints that the site publishes?", yes=yes)
    return scanned
