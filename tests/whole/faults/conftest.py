"""A gateway for faults: quick to give a job up, and without MLflow, for what may break is between gateway and site."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site_fixtures import SlurmSite
from tests.whole.faults.own_site import OwnSite, own_site
from tests.whole.gateway_process import GatewayProcess, running
from tests.whole.workshop import MLPROJECT, Workshop, make_repository

GRACE = 4.0
"""Seconds until a missing job is given up."""
PROBES = """\
  killed:
    command: "echo about to die; kill -9 $SLURM_TASK_PID"
  kills_itself:
    command: "echo about to die; bash -c 'kill -9 $$'"
  naps:
    command: "echo asleep; sleep 4; echo awake"
  fills:
    command: "echo begins; sleep 1; head -c 100000000 /dev/zero >$MANTIK_OUTPUTS_DIR/fill"
  odd_ends:
    command: "printf 'a\\\\342\\\\200\\\\250b\\\\302\\\\205c\\\\013d\\\\014e\\\\034f\\\\rg\\\\177h'"
  no_newline:
    command: "printf 'this line never ends'; sleep 2"
"""


@pytest.fixture(scope="session")
def faulty_gateway(folder: Path) -> Iterator[GatewayProcess]:
    settings = {"MANTIK_TRACKING_URI": "http://127.0.0.1:9", "MANTIK_TRACKING_TIMEOUT_SECONDS": "0.1"}
    with running(folder / "faults", tracking=False, MANTIK_MISSING_GRACE_SECONDS=str(GRACE), **settings) as process:
        yield process


@pytest.fixture(scope="session")
def faults(faulty_gateway: GatewayProcess, folder: Path) -> Workshop:
    code = make_repository(folder / "faults-code", {"MLproject": MLPROJECT + PROBES})
    return Workshop(faulty_gateway, code)


@pytest.fixture(scope="session")
def bulky(faulty_gateway: GatewayProcess, folder: Path) -> Workshop:
    """Its code takes a megabyte, and no compression helps."""
    code = make_repository(folder / "bulky-code", {"MLproject": MLPROJECT + PROBES, "data": os.urandom(700_000).hex()})
    return Workshop(faulty_gateway, code)


@pytest.fixture(scope="session")
def centre(faults: Workshop, slurm_site: SlurmSite) -> Iterator[OwnSite]:
    """A login node that works, for faults of jobs."""
    with own_site(faults, slurm_site, "centre") as site:
        yield site
