"""`mantik serve`."""

import importlib
from pathlib import Path

import click

from gateway.cli.groups import Command
from gateway.errors import InvalidInput


class ServerMissing(InvalidInput):
    """The server is not installed here."""


@click.command(cls=Command)
@click.option("--host", help="Address to listen on.  [env var: MANTIK_HOST; default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.  [env var: MANTIK_PORT; default: 8080]")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the database, keys and logs.  [env var: MANTIK_DATA_DIR]",
)
@click.option("--public-url", help="How users and jobs reach the gateway.  [env var: MANTIK_PUBLIC_URL]")
@click.option("--database-url", help="SQLAlchemy URL of the database.  [env var: MANTIK_DATABASE_URL]")
@click.option("--tracking-uri", help="An MLflow server; without, one is started.  [env var: MANTIK_TRACKING_URI]")
def command(**given: object) -> None:
    """Start a gateway on this machine.

    Ctrl-C ends it. The first start makes an admin and prints the login once. Every other setting is an
    environment variable.
    """
    try:
        # By name: the server is another part of the package, and this part starts without its libraries.
        settings = importlib.import_module("gateway.settings")
        server = importlib.import_module("gateway.serve")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("gateway", "backends", "compute_backend_configs"):
            raise
        raise ServerMissing(
            f"The server is not installed here ({error.name} is missing).",
            next_step="Install it: pip install 'mantik-gateway[server]'",
        ) from None
    server.serve(settings.load(**{name: value for name, value in given.items() if value is not None}))
