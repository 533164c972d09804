"""Config texts shared by the tests."""

import pytest

from compute_backend_configs import InvalidConfig, parse_config

SITE = "SSH: {Hostname: login.example.org}\n"
SMALL = SITE + "Resources: {Queue: batch}\n"

FULL = """\
UnicoreApiUrl: https://unicore.example.org/SITE/rest/core
Environment:
  Apptainer:
    Path: /images/train.sif
    Type: remote
    Options: --nv -B "/data sets:/data"
  Variables:
    SWITCH: on
    BIG: 1e3
    OCTAL: 010
    VERSION: 1.50
    TRUTH: true
    NUMBER: 4
    HOSTS: $(scontrol show hostnames)
    JSON: '{"a": [1, 2]}'
    EMPTY: ""
  Modules: [Python/3.11, 3.10, 2024]
  PreRunCommandOnLoginNode: git fetch
  PreRunCommandOnComputeNode: [module list, "echo 'a b'"]
  PostRunCommandOnComputeNode: |
    date
    hostname
  PostRunCommandOnLoginNode: [ls]
Resources:
  Queue: batch
  Runtime: 12:30:00
  Nodes: 2
  TotalCPUs: 16
  CPUsPerNode: 8
  TasksPerNode: 4
  CPUsPerTask: 2
  GPUsPerNode: 0
  MemoryPerNode: 1.5T
  Reservation: maintenance
  NodeConstraints: "[rack1|rack2]&gpu"
  QoS: high
Exclude: ["*.sif", data/]
"""


def resources(lines: str) -> str:
    """A config with the given line or lines beside Queue."""
    return SITE + "Resources:\n  Queue: batch\n" + "".join(f"  {line}\n" for line in lines.splitlines())


def errors(text: str) -> list[str]:
    """The errors of a text as a person reads them."""
    with pytest.raises(InvalidConfig) as caught:
        parse_config(text, name="mantik.yaml")
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    assert {problem.severity for problem in caught.value.problems} == {"error"}
    return [str(problem) for problem in caught.value.problems]


def warnings(text: str) -> list[str]:
    found = parse_config(text, name="mantik.yaml").warnings
    assert {problem.severity for problem in found} <= {"warning"}
    return [str(problem) for problem in found]
