"""Secrets of a connection: from a prompt, the standard input or a file; never from the command line."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli.values import text_of, usage

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False, path_type=Path)


def credential_options(function: F) -> F:
    """The options that `credential` reads."""
    for option in (
        click.option("--valid-until", type=click.DateTime(["%Y-%m-%d"]), help="Last day of the credential, in UTC."),
        click.option("--certificate", type=_FILE, help="File of an SSH certificate for the key."),
        click.option("--passphrase", is_flag=True, help="Ask for the passphrase of the private key."),
        click.option("--private-key", type=_FILE, help="File of an SSH key; without, the gateway makes one."),
        click.option("--scope", help="OIDC: what to ask for, when your issuer wants it."),
        click.option("--client-secret", type=_FILE, help="OIDC: file of the client's secret, where it has one."),
        click.option("--client-id", help="OIDC: the client that your refresh token was given to."),
        click.option("--issuer", help="OIDC: address of the issuer, which says where its token endpoint is."),
        click.option("--token-url", help="OIDC: address of the token endpoint, instead of --issuer."),
        click.option(
            "--secret-stdin", is_flag=True, help="Read the password, token, refresh token or passphrase from stdin."
        ),
        click.option("--login-name", help="Your user name there."),
    ):
        function = option(function)
    return function


def credential(auth_method: str, given: dict[str, Any]) -> dict[str, Any]:
    """The fields of the body; asks on a terminal for the secret that the method needs."""
    last = given["valid_until"]
    fields: dict[str, Any] = {
        "login_name": given["login_name"],
        "valid_until": end_of(last) if last else None,
    }
    if auth_method == "Username-Password":
        if not given["login_name"]:
            raise usage("--login-name is missing: your user name there.")
        fields["password"] = _secret(given, "Password")
    elif auth_method == "Token":
        fields["token"] = _secret(given, "Token")
    elif auth_method == "OIDC":
        fields["refresh_token"] = _secret(given, "Refresh token")
        fields |= {name: given[name] for name in ("token_url", "issuer", "client_id", "scope")}
        if given["client_secret"] is not None:
            fields["client_secret"] = text_of("--client-secret", given["client_secret"]).strip()
    elif auth_method == "SSH-Key":
        if given["private_key"] is not None:
            fields["private_key"] = text_of("--private-key", given["private_key"])
        if given["passphrase"]:
            fields["passphrase"] = _secret(given, "Passphrase")
        if given["certificate"] is not None:
            fields["certificate"] = text_of("--certificate", given["certificate"])
    return fields


def end_of(day: datetime) -> datetime:
    """The last second of a day, in UTC."""
    return day.replace(hour=23, minute=59, second=59, tzinfo=UTC)


def _secret(given: dict[str, Any], what: str) -> str:
    if given["secret_stdin"]:
        secret = sys.stdin.read().rstrip("\r\n")
    elif sys.stdin.isatty():
        secret = str(click.prompt(what, hide_input=True, err=True))
    else:
        raise usage(f"Give --secret-stdin to read the {what.lower()} from the standard input.")
    if not secret:
        raise usage(f"The {what.lower()} is empty.")
    return secret
