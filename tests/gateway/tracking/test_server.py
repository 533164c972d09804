"""The embedded MLflow server: started, scrubbed, restarted, ended."""

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from gateway.tracking import server as module
from gateway.tracking.client import TrackingClient
from gateway.tracking.server import MlflowServer

pytestmark = pytest.mark.mlflow


def members(group: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


async def test_killed_it_comes_back_and_stopped_it_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANTIK_SECRET_KEYS", "do-not-tell")
    monkeypatch.setenv("DATABASE_PASSWORD", "do-not-tell")
    server = MlflowServer(tmp_path / "mlflow")
    await server.start()
    client = TrackingClient(server.uri, socket=server.socket)
    assert not await client.healthy()  # `start` did not wait
    assert await server.ready(), server.log.read_text()
    first = server.pid
    assert first is not None
    for process in members(first):
        assert "do-not-tell" not in str(process.environ())
        assert [c for c in process.net_connections("inet") if c.status == "LISTEN"] == [], "other accounts reach a port"
    for path in (server.socket.parent, server.directory):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    made = await client.ensure_experiment("kept")
    async with httpx.AsyncClient(transport=server.transport()) as http:
        rebound = await http.get(f"{server.uri}/api/2.0/mlflow/experiments/search", headers={"host": "evil.example"})
    assert rebound.status_code == 403

    os.killpg(first, signal.SIGKILL)
    assert await server.ready(), server.log.read_text()
    assert server.pid not in (None, first)
    assert (await client.ensure_experiment("kept")).id == made.id
    second = server.pid
    await server.stop()
    assert second is not None
    assert members(first) == members(second) == []
    assert not server.socket.exists()
    assert not await client.healthy()
    await client.close()


CONNECT = """
import os, socket, sys
os.setgroups([])
os.setresuid(*[int(sys.argv[2])] * 3)
socket.socket(socket.AF_UNIX).connect(sys.argv[1])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another account")
@pytest.mark.parametrize("name", ["mlflow", "a-very-long-name-" * 8])
async def test_another_account_of_the_machine_does_not_reach_it(name: str, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o011 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)  # pytest's own folders keep others out already
    directory = tmp_path / name
    directory.mkdir(mode=0o755)
    async with MlflowServer(directory) as server:
        assert await server.ready(), server.log.read_text()
        for user, code in ((0, 0), (65534, 1)):
            asked = [sys.executable, "-c", CONNECT, str(server.socket), str(user)]
            done = await asyncio.to_thread(subprocess.run, asked, capture_output=True, text=True, check=False)
            assert done.returncode == code, done.stderr
        assert "PermissionError" in done.stderr
    assert not server.socket.exists()


async def test_a_server_left_by_a_killed_gateway_is_ended_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MlflowServer, "command", lambda self: ["sleep", "600"])
    left = MlflowServer(tmp_path)
    await left._spawn()  # and its gateway dies here
    old = left.pid
    assert old is not None
    async with MlflowServer(tmp_path) as server:
        assert server.pid not in (None, old)
        assert members(old) == []
    assert left._process is not None
    await left._process.wait()


async def test_a_pid_that_is_another_process_by_now_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MlflowServer, "command", lambda self: ["sleep", "600"])
    other = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    (tmp_path / "mlflow.pid").write_text(f"{other.pid} 12345.0")
    async with MlflowServer(tmp_path):
        assert members(other.pid)
    other.kill()
    await other.wait()


async def test_one_that_cannot_start_is_tried_again_ever_more_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    enough = asyncio.Event()

    async def note(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            enough.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(module, "pause", note)
    monkeypatch.setattr(MlflowServer, "command", lambda self: ["false"])
    async with MlflowServer(tmp_path) as server:
        await asyncio.wait_for(enough.wait(), 30)
        assert not await server.ready(0.3)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
