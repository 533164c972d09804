"""Sites: what is checked before it is stored, and what others than admins see."""

import socket
from typing import Any

import asyncssh
import httpx
import pytest

from gateway.sites.address import fingerprint
from tests.gateway.world import World

SITE: dict[str, Any] = {"name": "cluster", "kind": "slurm", "host": "login.example.org"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "slrum"}, "kind: 'slrum' is unknown; choose one of "),
        ({"host": "-oProxyCommand=x"}, "host: is no host name."),
        ({"host": None}, "host: is needed"),
        ({"jump": "a b"}, "jump: give"),
        ({"url": "http://unicore.example.org"}, "url: must begin with https://"),
        ({"pollSecondsMin": 100}, "pollSecondsMax: may not be smaller"),
        ({"hostKeys": ["ssh-ed25519 nonsense"]}, "hostKeys[0]: give"),
        ({"hosst": "x"}, "hosst: is not a known field"),
        ({"port": 70000}, "port: "),
    ],
)
async def test_a_bad_site_names_the_field(
    api: httpx.AsyncClient, world: World, change: dict[str, Any], words: str
) -> None:
    admin = await world.person("admin", admin=True)
    answer = await api.post("/sites", json={**SITE, **change}, headers=admin.headers)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_options_show_to_admins_only_and_a_change_is_audited_with_both_addresses(
    api: httpx.AsyncClient, world: World
) -> None:
    admin, alice = await world.person("admin", admin=True), await world.person("alice")
    body = {**SITE, "options": {"keyPath": "secret place"}}
    site = (await api.post("/sites", json=body, headers=admin.headers)).json()["siteId"]
    assert "secret place" in (await api.get(f"/sites/{site}", headers=admin.headers)).text
    assert "secret place" not in (await api.get(f"/sites/{site}", headers=alice.headers)).text
    await api.put(f"/sites/{site}", json={**SITE, "host": "other.example.org"}, headers=admin.headers)
    details = (await world.audit())[-1].details
    assert (details["before"], details["target"]) == ("login.example.org:22", "other.example.org:22")


async def test_the_keys_that_a_real_server_shows(api: httpx.AsyncClient, world: World) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key]) as server:
        admin = await world.person("admin", admin=True)
        path = f"/sites/scan-host-keys?host=127.0.0.1&port={server.get_port()}"
        found = (await api.post(path, headers=admin.headers)).json()
    assert found["fingerprints"] == [key.get_fingerprint()]
    assert (
        await api.post("/sites", json={**SITE, "hostKeys": found["keys"]}, headers=admin.headers)
    ).status_code == 201


async def test_a_host_that_does_not_answer(api: httpx.AsyncClient, world: World) -> None:
    admin = await world.person("admin", admin=True)
    with socket.socket() as taken:  # nobody else gets the port, and nobody listens there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        answer = await api.post(f"/sites/scan-host-keys?host=127.0.0.1&port={port}", headers=admin.headers)
    assert answer.status_code == 502
    assert answer.json()["detail"].endswith("Check host and port of the site.")


def test_fingerprints_of_the_forms_that_are_stored() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    line = " ".join(key.export_public_key().decode().split()[:2])
    for form in (line, f"jump.example.org {line}", f"@cert-authority {line}"):
        assert fingerprint(form) == key.get_fingerprint()
