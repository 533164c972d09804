"""`mantik runs delete`."""

import click

from gateway.cli.asking import confirm, gateway, yes_option
from gateway.cli.groups import Command
from gateway.cli.runs.choice import run_argument
from gateway.cli.text import plain


@click.command("delete", cls=Command)
@run_argument
@click.option("--cancel", is_flag=True, help="Cancel the run first if it has not ended.")
@click.option("--site-directory", is_flag=True, help="Remove its directory on the site as well.")
@yes_option
def command(run: str, project: str | None, cancel: bool, site_directory: bool, yes: bool) -> None:
    """Delete a run."""
    with gateway(project) as client:
        found = client.runs.get(run)
        what = " and its directory on the site" if site_directory else ""
        confirm(f"Delete run {plain(found.name)} ({found.run_id}, {found.state}){what}?", yes=yes)
        client.runs.delete(found.run_id, cancel=cancel, site_directory=site_directory)
    click.echo(f"Deleted run {plain(found.name)}.", err=True)
