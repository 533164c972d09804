"""Logins at a real UNICORE/X of each version, the whole way: keys, tokens that end, and what a user chooses."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.site_fixtures import UnicoreSite
from tests.token_issuer import TokenIssuer
from tests.whole.command_line import mantik
from tests.whole.gateway_process import GatewayProcess, running, wait_for
from tests.whole.workshop import MLPROJECT, Workshop, make_repository

pytestmark = [pytest.mark.unicore, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def plain_gateway(folder: Path) -> Iterator[GatewayProcess]:
    """Without MLflow; its operator lets users name issuers on this machine."""
    settings = {
        "MANTIK_TRACKING_URI": "http://127.0.0.1:9",
        "MANTIK_TRACKING_TIMEOUT_SECONDS": "0.2",
        "MANTIK_ALLOWED_TOKEN_HOSTS": "127.0.0.1",
    }
    with running(folder / "logins", tracking=False, **settings) as process:
        yield process


@pytest.fixture(scope="module")
def logins(plain_gateway: GatewayProcess, folder: Path) -> Workshop:
    return Workshop(plain_gateway, make_repository(folder / f"logins-code-{uuid.uuid4()}", {"MLproject": MLPROJECT}))


class Account:
    """One connection of alice to the server."""

    def __init__(self, workshop: Workshop, there: UnicoreSite, name: str, **credential: Any) -> None:
        self.workshop = workshop
        self.there = there
        gateway = workshop.gateway
        site = {
            "name": f"{name}-{there.name}",
            "kind": "unicore",
            "url": there.url,
            "tlsCa": Path(there.ca).read_text(),
            "pollSecondsMin": 0.3,
            "pollSecondsMax": 0.6,
        }
        body = {
            "connectionName": f"{name}-{there.name}",
            "connectionProvider": "UNICORE",
            "siteId": gateway.call("POST", "/sites", site)["siteId"],
            **credential,
        }
        self.made = gateway.call("POST", workshop.connections, body)
        self.id = str(self.made["connectionId"])

    def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = self.workshop.gateway.call("GET", f"{self.workshop.connections}/{self.id}")
        return found

    def log_in(self, **credential: str) -> None:
        path = f"{self.workshop.connections}/{self.id}/credential"
        answer = self.workshop.gateway.call("PUT", path, credential)
        assert answer["lastCheck"]["ok"], answer["lastCheck"]

    def submit(self, **changes: Any) -> str:
        config = {"UnicoreApiUrl": self.there.url, "Resources": {"Queue": "batch", "Runtime": "5m"}}
        wanted = {"connectionId": self.id, "computeBudgetAccount": "proj1", "backendConfig": config}
        return self.workshop.submit(**(wanted | changes))

    def needs_login(self, run_id: str) -> str:
        """What the condition says, once it is there."""
        found: str = wait_for(
            lambda: self.workshop.conditions(run_id).get("NEEDS_LOGIN"), 60, lambda: self.workshop.story(run_id)
        )
        return found

    def go(self, run_id: str) -> None:
        """What the entry point `waits` waits for."""
        job = self.workshop.run(run_id)["job"]["siteJobId"]
        Path(self.there.jobs, job, "outputs", "go").touch()

    def finished(self, run_id: str) -> None:
        assert self.workshop.ended(run_id, seconds=90)["state"] == "FINISHED", self.workshop.story(run_id)
        assert "NEEDS_LOGIN" not in self.workshop.conditions(run_id)
        events = self.workshop.gateway.call("GET", self.workshop.path("runs", run_id, "events"))["items"]
        assert sum(event["toState"] == "SUBMITTING" for event in events) == 1


def oidc(issuer: TokenIssuer) -> dict[str, str]:
    login = {"refreshToken": issuer.login(), "issuer": issuer.url, "clientId": "mantik"}
    return {"authMethod": "OIDC", **login}


def test_a_login_that_is_revoked_in_the_middle_of_a_run(logins: Workshop, unicore_logins: UnicoreSite) -> None:
    """The site asks the issuer about each token; sessions there last 3 s, tokens 20 s."""
    with unicore_logins.issuer() as issuer:
        issuer.life = 20.0
        account = Account(logins, unicore_logins, "oidc", **oidc(issuer))
        assert account.made["lastCheck"]["ok"], account.made
        assert (account.made["tokenUrl"], account.made["clientId"]) == (issuer.token_url, "mantik")
        assert account.made["tokenEndsAt"] is not None
        run_id = account.submit(entryPoint="waits")
        logins.until(run_id, "RUNNING")
        asked = len(issuer.asked)
        wait_for(lambda: len(issuer.asked) > asked, 60)
        assert not {"NEEDS_LOGIN", "LOST_CONTACT"} & logins.conditions(run_id).keys(), "nothing is disturbed"

        issuer.revoke()
        asked = len(issuer.asked)
        said = account.needs_login(run_id)
        assert "Session not active" in said
        late = account.submit()
        account.needs_login(late)
        assert logins.run(run_id)["state"] == "RUNNING"
        assert len(issuer.asked) == asked + 1, "asked once, and refused"
        assert account.shown()["refusedAt"] is not None

        account.log_in(refreshToken=issuer.login())
        account.go(run_id)
        account.finished(run_id)
        account.finished(late)
        assert logins.log(run_id) == b"waiting\nwent on\n"


def test_a_token_that_ends_in_the_middle_of_a_run(logins: Workshop, unicore_logins: UnicoreSite) -> None:
    """A token that the server itself made and signed, and that no issuer renews."""
    account = Account(logins, unicore_logins, "ends", authMethod="Token", token=own_token(unicore_logins, 25))
    assert account.made["lastCheck"]["ok"], account.made
    run_id = account.submit(entryPoint="waits")
    logins.until(run_id, "RUNNING")
    said = account.needs_login(run_id)
    assert "refused" in said
    assert logins.run(run_id)["state"] == "RUNNING"
    account.go(run_id)
    account.log_in(token=own_token(unicore_logins, 3600))
    account.finished(run_id)
    assert logins.log(run_id) == b"waiting\nwent on\n"


def own_token(there: UnicoreSite, seconds: int) -> str:
    """Good for so long: a server takes its own tokens until a minute after their end."""
    with httpx.Client(verify=there.trust(), auth=(there.user, there.password)) as client:
        answer = client.get(f"{there.url}/token", params={"lifetime": seconds - 60}, headers={"Accept": "text/plain"})
        return answer.raise_for_status().text.strip()


def test_a_key_and_what_is_chosen(
    plain_gateway: GatewayProcess, logins: Workshop, unicore_logins: UnicoreSite, folder: Path
) -> None:
    """As a user types it: a choice that the site does not offer, and the right one."""
    name = f"key-{unicore_logins.name}"

    def types(*words: str) -> tuple[int, str, str]:
        done = mantik(plain_gateway, folder, *words)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    assert (
        types("sites", "create", name, "--kind", "unicore", "--url", unicore_logins.url, "--tls-ca", unicore_logins.ca)[
            0
        ]
        == 0
    )
    login = ("--auth-method", "SSH-Key", "--login-name", "alice", "--private-key", unicore_logins.private_key)
    code, made, said = types("connections", "create", name, "--site", name, *login, "--prefer", "group=nosuch")
    assert code == 0
    assert "preferences.group: 'nosuch' is none of yours on this site. Choose one of: nogroup, users." in said
    code, _, said = types("connections", "edit", name, "--prefer", "group=users")
    assert (code, "It works." in said) == (0, True), said
    code, shown, _ = types("connections", "show", name)
    assert "Acts as:  group users\n" in shown
    code, checked, _ = types("connections", "check", name)
    assert "Group:          users (or: nogroup)\n" in checked
    config = {"UnicoreApiUrl": unicore_logins.url, "Resources": {"Queue": "batch", "Runtime": "5m"}}
    run_id = logins.submit(connectionId=made.strip(), computeBudgetAccount="proj1", backendConfig=config)
    assert logins.ended(run_id)["state"] == "FINISHED", logins.story(run_id)
