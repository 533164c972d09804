"""What a person reads when a config is wrong."""

import pytest

from compute_backend_configs import InvalidConfig, parse_config, parse_config_data
from tests.compute_backend_configs.texts import SITE, SMALL, errors, resources

WRONG = """\
SSH: {Hostname: login.example.org, Port: 70000}
Enviroment:
  Python: venv
Resources:
  Quue: batch
  Nodes: 0
  MemoryPerNode: 16X
  qos: high
Exclude: "*.sif"
"""


def test_everything_wrong_is_said_at_once() -> None:
    assert errors(WRONG) == [
        "mantik.yaml:1: SSH.Port: must be a whole number from 1 to 65535, not `70000`",
        "mantik.yaml:2: Enviroment: unknown key `Enviroment`; did you mean `Environment`?",
        "mantik.yaml:5: Resources.Quue: unknown key `Quue`; did you mean `Queue`?",
        "mantik.yaml:6: Resources.Nodes: must be a whole number from 1 to 10000000, not `0`",
        "mantik.yaml:7: Resources.MemoryPerNode: must be an amount of memory such as 16G, 500M, 16 GiB or 1.5T, "
        "not `16X`",
        "mantik.yaml:8: Resources.qos: unknown key `qos`; did you mean `QoS`?",
        "mantik.yaml:9: Exclude: must be a list, not `*.sif`",
    ]


def test_a_problem_holds_its_parts() -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse_config(resources("Nodes: 0"), name="a.yaml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column, problem.field) == ("a.yaml", 4, 10, "Resources.Nodes")
    assert (problem.given, problem.allowed) == ("0", "a whole number from 1 to 10000000")
    assert problem.severity == "error"


def test_data_has_no_lines() -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse_config_data({"Local": {}, "Resources": {"Nodes": 0}}, name="backendConfig")
    assert str(caught.value) == ("backendConfig: Resources.Nodes: must be a whole number from 1 to 10000000, not `0`")
    assert caught.value.problems[0].line is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources: {Queue: a}", "1: names no site; give exactly one of UnicoreApiUrl, Firecrest, SSH, Local, Site"),
        (
            "Site: a\nLocal: {}\n",
            "2: Local: names more than one site (Site, Local); keep exactly one of UnicoreApiUrl, Firecrest, SSH, "
            "Local, Site",
        ),
        ("Site: a", "1: Resources: is missing; it needs at least `Queue`"),
        ("Site: a\nResources:\n  Nodes: 1", "2: Resources.Queue: is missing; name the queue (partition) to submit to"),
        ("Site: a\nResources: [Queue]", "2: Resources: must be a mapping of keys to values, not a list"),
        ("SSH: {}\nResources: {Queue: a}", "1: SSH.Hostname: is missing"),
        (
            "SSH: {hostname: a}\nResources: {Queue: a}",
            "1: SSH.hostname: unknown key `hostname`; did you mean `Hostname`?",
        ),
        ("SSH: login\nResources: {Queue: a}", "1: SSH: must be a mapping of keys to values, not `login`"),
        ("Ssh: {Hostname: a}\nResources: {Queue: a}", "1: Ssh: unknown key `Ssh`; did you mean `SSH`?"),
        (SMALL + "Queue: b", "3: Queue: unknown key `Queue` here; it belongs under `Resources`"),
        (SMALL + "Modules: [b]", "3: Modules: unknown key `Modules` here; it belongs under `Environment`"),
        (
            SMALL + "Environment: {Python: {Path: /a, Version: 3}}",
            "3: Environment.Python.Version: unknown key `Version`; known here: Path",
        ),
        (resources("Memory: 1G"), "4: Resources.Memory: unknown key `Memory`; did you mean `MemoryPerNode`?"),
        (resources("gpus: 1"), "4: Resources.gpus: unknown key `gpus`; did you mean `GPUsPerNode`?"),
        ("Local: {Port: 22}", "1: Local.Port: unknown key `Port`; no keys are allowed here"),
        (SMALL + "Environment: {Pyhton: /venv}", "3: Environment.Pyhton: unknown key `Pyhton`; did you mean `Python`?"),
        (
            SMALL + "Environment: {Python: /a, Apptainer: {Path: b}}",
            "3: Environment.Python: cannot stand beside Apptainer; keep one of them",
        ),
        (
            SMALL + "Environment: {Python: venv}",
            "3: Environment.Python: must be an absolute path on the site, not `venv`",
        ),
        (
            SMALL + "Environment: {Apptainer: {Path: a.sif, Type: remote}}",
            "3: Environment.Apptainer: Path must be absolute for `Type: remote`, not `a.sif`",
        ),
        (
            SMALL + "Environment: {Apptainer: {Path: /a.sif}}",
            "3: Environment.Apptainer: Path must lie inside the project for `Type: local`, not `/a.sif`; "
            "an image on the site is `Type: remote`",
        ),
        (
            SMALL + "Environment: {Apptainer: {Path: ../a.sif}}",
            "3: Environment.Apptainer: Path must lie inside the project for `Type: local`, not `../a.sif`; "
            "an image on the site is `Type: remote`",
        ),
        (
            SMALL + "Environment: {Apptainer: {Path: a, Type: Remote}}",
            "3: Environment.Apptainer.Type: must be `local` or `remote`, not `Remote`",
        ),
        (
            SMALL + "Environment: {Apptainer: {Path: a, Options: '-B \"a'}}",
            '3: Environment.Apptainer.Options: has a quote that is not closed: `-B "a`',
        ),
        (SMALL + "Environment: {Modules: [a, null]}", "3: Environment.Modules[1]: must be text, not nothing"),
        (SMALL + "Environment: {Modules: a}", "3: Environment.Modules: must be a list, not `a`"),
        (
            SMALL + "Environment:\n  Variables:\n    A: 1\n    B:\n",
            '6: Environment.Variables.B: has no value; write "" for an empty one',
        ),
        (
            SMALL + "Environment: {Variables: {my-var: 1}}",
            "3: Environment.Variables.my-var: is not a name for a variable; it takes letters, digits and _, "
            "not starting with a digit",
        ),
        (
            SMALL + "Environment: {Variables: [A]}",
            "3: Environment.Variables: must be a mapping of keys to values, not a list",
        ),
        (
            SITE + 'Resources: {Queue: "a\\n#SBATCH -A x"}',
            "2: Resources.Queue: must be one line without control characters, not `a\\n#SBATCH -A x`",
        ),
        (SITE + "Resources: {Queue: true}", "2: Resources.Queue: must be text, not true"),
        (SITE + "Resources: {Queue: ''}", "2: Resources.Queue: is empty; give it a value or remove the key"),
        (resources("QoS: a b"), "4: Resources.QoS: must not hold spaces: `a b`"),
        (
            resources('NodeConstraints: "a\\u2028b"'),
            "4: Resources.NodeConstraints: must be one line without control characters, not `a\\u2028b`",
        ),
        (
            "SSH: {Hostname: -oProxyCommand=x}\nResources: {Queue: a}",
            "1: SSH.Hostname: must be the name or address of a host, without user or path, not `-oProxyCommand=x`",
        ),
        (resources("QoS: a\u200bb"), "4: Resources.QoS: must not hold invisible characters: `a\\u200bb`"),
        (
            "SSH: {Hostname: 'login:2222'}\nResources: {Queue: a}",
            "1: SSH.Hostname: must not hold a port, which is the key `Port`: `login:2222`",
        ),
        (
            "SSH: {Hostname: '[::1]:2222'}\nResources: {Queue: a}",
            "1: SSH.Hostname: must not hold a port, which is the key `Port`: `[::1]:2222`",
        ),
        (SMALL + "Environment: {Python: 3}", "3: Environment.Python: must be an absolute path on the site, not `3`"),
        (
            SMALL + f"Environment: {{Apptainer: {{Path: a, Options: {'-e ' * 1001}}}}}",
            "3: Environment.Apptainer.Options: holds more than 1000 options",
        ),
        (
            "UnicoreApiUrl: ftp://a\nResources: {Queue: a}",
            "1: UnicoreApiUrl: must be an address that starts with https:// or http://, not `ftp://a`",
        ),
        (
            "UnicoreApiUrl: https://me:secret@a\nResources: {Queue: a}",
            "1: UnicoreApiUrl: must not hold a user or password; those belong into a connection",
        ),
    ],
)
def test_one_mistake_is_one_sentence(text: str, message: str) -> None:
    assert errors(text) == [f"mantik.yaml:{message}"]


@pytest.mark.parametrize("value", ["[hunter2]", "{a: hunter2}", '"hunter2\\0"'])
def test_values_of_variables_are_not_shown(value: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse_config(SMALL + f"Environment: {{Variables: {{PASSWORD: {value}}}}}")
    assert "PASSWORD" in str(caught.value)
    assert "hunter2" not in repr(caught.value.problems)


def test_long_and_odd_values_are_cut() -> None:
    (message,) = errors(resources(f"Nodes: {'9' * 5000}"))
    assert len(message) < 200
    (message,) = errors(SMALL + f'"{"k" * 5000}\\n": 1')
    assert len(message) < 500
    assert "\n" not in message


def test_a_hundred_problems_are_enough() -> None:
    found = errors(SMALL + "".join(f"X{number}: 1\n" for number in range(500)))
    assert len(found) == 101
    assert found[-1].endswith("400 more problems are not shown")
