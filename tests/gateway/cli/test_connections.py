"""Logins that are renewed, what is chosen for a connection, and how both are shown."""

from pathlib import Path

from gateway.cli.site_info import site_info
from tests.gateway.cli.conftest import Mantik
from tests.gateway.client.wire import CONNECTION, SITE, Wire, connection_view


def test_a_login_that_is_renewed(mantik: Mantik, wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "client").write_text("c-secret\n")
    base = (
        "connections",
        "create",
        "new",
        "--site",
        "cluster",
        "--auth-method",
        "OIDC",
        "--issuer",
        "https://i.example",
    )
    done = mantik(
        *(*base, "--client-id", "mantik", "--client-secret", "client", "--scope", "openid", "--secret-stdin"),
        *("--prefer", "group=project1", "--prefer", "role=user"),
        given="r-token\n",
    )
    assert done.code == 0
    assert wire.bodies[-1] == {
        "connectionName": "new",
        "connectionProvider": "slurm",
        "authMethod": "OIDC",
        "siteId": SITE,
        "refreshToken": "r-token",
        "issuer": "https://i.example",
        "clientId": "mantik",
        "clientSecret": "c-secret",
        "scope": "openid",
        "preferences": {"group": "project1", "role": "user"},
    }
    assert "r-token" not in done.out + done.err
    assert "Give --secret-stdin to read the refresh token" in mantik(*base).err
    assert (
        "--prefer group: give it as KEY=VALUE." in mantik(*base, "--prefer", "group", "--secret-stdin", given="r").err
    )


def test_a_connection_is_edited(mantik: Mantik, wire: Wire) -> None:
    listing = next(path for path in wire.things if "connections" in path)
    shown = {"tokenUrl": "https://i.example/token", "clientId": "mantik", "tokenEndsAt": "2026-01-02T04:04:05Z"}
    chosen = {"preferences": {"group": "project1", "role": "user"}}
    wire.things[listing] = [connection_view(authMethod="OIDC", refusedText="its issuer says: ended", **shown, **chosen)]
    done = mantik("connections", "edit", "mine", "--prefer", "group=project2", "--prefer", "role=")
    assert (done.code, done.out) == (0, f"{CONNECTION}\n")
    assert wire.bodies[-1] == {"connectionName": "mine", "preferences": {"group": "project2"}}
    mantik("connections", "edit", "mine", "--name", "other", "--valid-until", "2027-01-31")
    assert wire.bodies[-1] == {
        "connectionName": "other",
        "preferences": chosen["preferences"],
        "validUntil": "2027-01-31T23:59:59Z",
    }
    assert "Nothing to change" in mantik("connections", "edit", "mine").err
    out = mantik("connections", "show", "mine").out
    for line in (
        "Acts as:     group project1, role user\n",
        "Issuer:      https://i.example/token\n",
        "Client:      mantik\n",
        "Token until: 2026-01-02 04:04:05 UTC\n",
        "Problem:     its issuer says: ended\n",
    ):
        assert line in out


def test_as_whom_a_user_acts_there() -> None:
    choices = [
        {"name": "group", "selected": "project1", "offered": ["project1", "project2"]},
        {"name": "role", "selected": "user", "offered": ["user"]},
        {"name": "uid", "selected": "", "offered": ["alice1", "alice2"]},
    ]
    found = {"user": "alice", "choices": choices, "notes": ["Maintenance on Monday"]}
    assert site_info(found) == (
        "User:  alice\nGroup: project1 (or: project2)\nUid:   none (or: alice1, alice2)\n\nNote: Maintenance on Monday"
    )
