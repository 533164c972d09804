"""`mantik models list`."""

import click

from gateway.cli.asking import gateway, project_option
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show_rows
from gateway.cli.text import age


@click.command("list", cls=Command)
@project_option
@output_option
def command(project: str | None, output: str) -> None:
    """List the models of a project, newest first."""
    with gateway(project) as client:
        found = list(client.models.list())
    show_rows(
        found,
        output,
        ("NAME", "STATUS", "RUN", "COMMIT", "SITE", "BY", "REGISTERED", "ID"),
        lambda m: (
            m.name,
            m.status,
            m.origin.run_name if m.origin else None,
            m.origin.commit[:12] if m.origin and m.origin.commit else None,
            m.origin.site_name if m.origin else None,
            m.user.name,
            age(m.created_at),
            m.model_id,
        ),
        empty="There is no model yet. To register one: mantik models register --help",
    )
