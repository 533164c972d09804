import json
from pathlib import Path

import pytest
import yaml

from tests.gateway.cli.conftest import Mantik
from tests.gateway.client.wire import CONNECTION, PROJECT, SITE, Wire, connection_view, identifier

NEW = identifier(40)


def test_projects(mantik: Mantik, wire: Wire) -> None:
    assert mantik("projects", "list").out == (
        "NAME  ROLE   CREATED  ID\ndemo  owner  3m ago   00000000-0000-0000-0000-000000000002\n"
    )
    done = mantik("projects", "create", "new", "--public")
    assert (done.out, done.err) == (f"{NEW}\n", f"To use it: export MANTIK_PROJECT_ID={NEW}\n")
    assert wire.bodies[-1] == {"name": "new", "description": "", "public": True, "publicDetails": False}
    assert mantik("projects", "show", "new").out == (
        f"Name:      new\nId:        {NEW}\nYour role: owner\nSeen by:   everybody\n"
        "Created:   2026-01-02 03:04:05 UTC\n"
    )
    assert mantik("projects", "delete", NEW).err == "Deleted project new.\n"
    assert mantik("projects", "show", "new").code == 5


def test_json_and_yaml_say_the_same(mantik: Mantik) -> None:
    found = json.loads(mantik("projects", "list", "-o", "json").out)
    assert found == yaml.safe_load(mantik("projects", "list", "-o", "yaml").out)
    assert found[0]["projectId"] == PROJECT
    assert json.loads(mantik("projects", "show", "demo", "-o", "json").out) == found[0]


def test_an_empty_listing_says_how_to_begin(mantik: Mantik, wire: Wire) -> None:
    wire.things["/sites"] = []
    done = mantik("sites", "list")
    assert (done.out, done.err) == (
        "",
        "There is no site yet. An admin adds one: mantik sites create NAME --kind slurm --host HOST\n",
    )
    assert mantik("sites", "list", "-o", "json").out == "[]\n"


def test_an_error_names_field_and_next_step(mantik: Mantik) -> None:
    done = mantik("projects", "create", "bad")
    assert (done.code, done.out) == (2, "")
    assert done.err == "Error: The request is not valid.\n  name: is taken; choose another.\n"
    done = mantik("projects", "create", "")
    assert done.code == 2
    assert done.err.startswith("Error: The request is not valid.\n  name: String should have at least 1 character")
    done = mantik("experiments", "show", "irsi")
    assert (done.code, done.err) == (
        5,
        "Error: There is no experiment repository named irsi. Did you mean iris?\n"
        "Next: To see them: mantik experiments list\n",
    )


def test_deleting_asks_on_a_terminal(mantik: Mantik, wire: Wire) -> None:
    done = mantik("projects", "delete", "demo", given="n\n", terminal=True)
    assert done.code == 1
    assert done.err.endswith("Nothing was done.\n")
    assert len(wire.things["/projects"]) == 1
    assert mantik("projects", "delete", "demo", given="y\n", terminal=True).code == 0
    assert wire.things["/projects"] == []


def test_yes_asks_nothing(mantik: Mantik, wire: Wire) -> None:
    assert mantik("sites", "delete", "cluster", "--yes", given="", terminal=True).err == "Deleted site cluster.\n"
    assert wire.things["/sites"] == []


def test_experiments_and_code(mantik: Mantik, wire: Wire) -> None:
    assert mantik("experiments", "list").out.splitlines()[1].split() == ["iris", "1", "3m", "ago", identifier(3)]
    assert mantik("experiments", "create", "two").out == f"{NEW}\n"
    assert mantik("experiments", "delete", "two").err == "Deleted experiment repository two.\n"
    assert mantik("code", "list").out.splitlines()[1].split() == [
        "models",
        "https://git.example/models.git",
        identifier(4),
    ]
    assert mantik("code", "create", "own", "ssh://git/own.git", "--connection", "mine").out == f"{NEW}\n"
    assert wire.bodies[-1]["connectionId"] == CONNECTION
    assert f"Connection: {CONNECTION}\n" in mantik("code", "show", "own").out.replace("  ", "")
    assert mantik("code", "delete", "own").err == "Forgot code repository own.\n"


def test_names_of_others_do_not_move_the_cursor(mantik: Mantik, wire: Wire) -> None:
    wire.things["/projects"][0]["name"] = "x\x1b[2J\ny"
    assert mantik("projects", "list").out.splitlines()[1].startswith("x [2J y  owner")


def test_a_table_fits_a_terminal_and_is_whole_when_piped(
    mantik: Mantik, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    wire.things["/projects"][0]["name"] = "long" * 30
    assert "long" * 30 in mantik("projects", "list").out
    lines = mantik("projects", "list", terminal=True).out.splitlines()
    assert max(map(len, lines)) == 80
    assert lines[1].endswith(PROJECT)
    assert "…" in lines[1]


def test_host_keys_are_shown_and_confirmed(mantik: Mantik) -> None:
    shown = "h:2222 shows these keys:\n  SHA256:abc (ED25519)\n"
    done = mantik("sites", "scan-keys", "h", "--port", "2222")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"{shown}Error: The keys are not confirmed: compare the fingerprints, then give --yes.\n"
        "Next: mantik sites scan-keys --help\n"
    )
    done = mantik("sites", "scan-keys", "h", "--port", "2222", "--yes")
    assert (done.code, done.out, done.err) == (0, "ssh-ed25519 AAAAhost\n", shown)
    assert mantik("sites", "scan-keys", "h", given="n\n", terminal=True).code == 1


def test_a_site_is_made_with_confirmed_keys_or_those_of_a_file(mantik: Mantik, wire: Wire, tmp_path: Path) -> None:
    done = mantik(
        "sites", "create", "new", "--kind", "slurm", "--host", "h", "--yes", "--limit", "connections=4", "--no-raw-jobs"
    )
    assert done.out == f"{NEW}\n"
    sent = wire.bodies[-1]
    assert sent["hostKeys"] == ["ssh-ed25519 AAAAhost"]
    assert (sent["limits"], sent["rawJobsAllowed"], sent["verifyTls"]) == ({"connections": 4}, False, True)
    assert "jump" not in sent
    (tmp_path / "keys").write_text("ssh-rsa B\n\nssh-ed25519 C\n")
    mantik("sites", "create", "two", "--kind", "slurm", "--host", "h", "--host-keys", "keys")
    assert wire.bodies[-1]["hostKeys"] == ["ssh-rsa B", "ssh-ed25519 C"]
    assert (
        "--host-keys nope: No such file" in mantik("sites", "create", "x", "--kind", "slurm", "--host-keys", "nope").err
    )


def test_new_host_keys_of_a_site_change_nothing_else(mantik: Mantik, wire: Wire) -> None:
    done = mantik("sites", "trust", "cluster", "--yes")
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("Site cluster is trusted with 1 keys; waiting runs go on by themselves.\n")
    sent = wire.bodies[-1]
    assert (sent["hostKeys"], sent["name"], sent["host"]) == (["ssh-ed25519 AAAAhost"], "cluster", "login.example")


def test_a_site(mantik: Mantik) -> None:
    assert mantik("sites", "show", SITE).out == (
        f"Name:           cluster\nId:             {SITE}\nKind:           slurm\nWhere:          login.example:22\n"
        "Work directory: $HOME/mantik\nJobs reach us:  direct\nLooked at:      every 2 to 60 s\n"
        "Created:        2026-01-02 03:04:05 UTC\n"
    )


def test_a_connection_with_a_key_of_the_gateway(mantik: Mantik, wire: Wire) -> None:
    done = mantik("connections", "create", "new", "--site", "cluster")
    assert done.out == f"{NEW}\n"
    assert done.err == (
        "Add this public key to your account there (~/.ssh/authorized_keys):\n  ssh-ed25519 AAAA mantik\n"
        "Then: mantik connections check new\n"
    )
    assert wire.bodies[-1] == {
        "connectionName": "new",
        "connectionProvider": "slurm",
        "authMethod": "SSH-Key",
        "siteId": SITE,
    }


def test_secrets_of_a_connection(mantik: Mantik, wire: Wire, tmp_path: Path) -> None:
    base = ("connections", "create", "new")
    done = mantik(*base, "--origin", "https://git.example", "--auth-method", "Token", "--secret-stdin", given="t0k\n")
    assert done.code == 0
    assert (wire.bodies[-1]["token"], wire.bodies[-1]["connectionProvider"]) == ("t0k", "Git")
    assert "t0k" not in done.out + done.err
    password = ("--site", "cluster", "--auth-method", "Username-Password")
    assert "--login-name is missing" in mantik(*base, *password).err
    assert "Give --secret-stdin to read the password" in mantik(*base, *password, "--login-name", "a").err
    mantik(*base, *password, "--login-name", "a", given="pw\n", terminal=True)
    assert (wire.bodies[-1]["loginName"], wire.bodies[-1]["password"]) == ("a", "pw")
    (tmp_path / "key").write_text("PRIVATE")
    mantik(*base, "--site", SITE, "--private-key", "key", "--valid-until", "2027-01-31")
    assert (wire.bodies[-1]["privateKey"], wire.bodies[-1]["validUntil"]) == ("PRIVATE", "2027-01-31T23:59:59Z")
    assert "Give either --site or --origin" in mantik(*base).err


def test_the_state_of_a_connection(mantik: Mantik, wire: Wire) -> None:
    listing = next(path for path in wire.things if "connections" in path)
    wire.things[listing] = [
        connection_view(lastCheck={"ok": False, "error": "Site cluster: no route to host."}),
        connection_view(connectionName="old", refusedAt="2026-01-02T03:04:05Z"),
    ]
    assert [line.split()[2] for line in mantik("connections", "list").out.splitlines()] == [
        "STATE",
        "problem",
        "refused",
    ]
    assert "Problem:    Site cluster: no route to host.\n" in mantik("connections", "show", CONNECTION).out


def test_what_a_site_says_of_itself(mantik: Mantik) -> None:
    assert mantik("connections", "check", "mine").out == (
        "User:           ada\n"
        "Host:           login1\n"
        "Version:        slurm 22.05.8\n"
        "Work directory: /home/ada/mantik\n"
        "Free there:     5.0 GiB, 1000 files\n"
        "Shared:         yes\n"
        "\n"
        "QUEUE   UP   MAX TIME  MAX NODES  NODES  CPUS  MEMORY   GPUS\n"
        "batch*  yes  1d00h     4          8      48    128 GiB\n"
        "gpu     no                        2      64             4\n"
        "\n"
        "ACCOUNT  QUEUES  LEFT\n"
        "proj1*   batch   120.5 node hours\n"
        "\n"
        "* taken when none is given\n"
    )
    assert json.loads(mantik("connections", "check", "mine", "-o", "json").out)["user"] == "ada"
    assert mantik("connections", "delete", "mine").err == "Deleted connection mine.\n"
