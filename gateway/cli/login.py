"""`mantik login`."""

import sys

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command


@click.command(cls=Command)
@click.option("-u", "--username", envvar="MANTIK_USERNAME", show_envvar=True, help="Your user name; asked for without.")
@click.option("--password-stdin", is_flag=True, help="Read the password (or an API token) from the standard input.")
def command(username: str | None, password_stdin: bool) -> None:
    """Log in at the gateway.

    The password is asked for, or read from the standard input; it is never an argument and never stored. The tokens
    of the login are kept in a file that only you can read.
    """
    with gateway() as client:
        if username is None:
            if password_stdin or not sys.stdin.isatty():
                raise click.UsageError("Give --username, or set MANTIK_USERNAME.", click.get_current_context())
            username = str(click.prompt("User name", err=True))
        if password_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
        elif sys.stdin.isatty():
            password = str(click.prompt(f"Password of {username}", hide_input=True, err=True))
        else:
            raise click.UsageError("Give --password-stdin to read the password here.", click.get_current_context())
        if not password:
            raise click.UsageError("The password is empty.", click.get_current_context())
        me = client.login(username, password)
        click.echo(f"Logged in at {client.api_url} as {me.name}.", err=True)
