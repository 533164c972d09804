"""Tracking beside a job, as its script starts and ends it."""

import ast
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from backends.job_script import tracking_endpoint
from backends.spec import JobRequest
from tests.backends.job_script.attempt import Attempt, request
from tests.backends.job_script.test_job import wait_for

OWN = "run1"
ASK = """\
import json, os, sys, urllib.request
def ask(route, body):
    url = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/" + route
    headers = {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]}
    data = json.dumps(dict(body, run_id=os.environ["MLFLOW_RUN_ID"])).encode()
    return urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20).read()
"""


def tracking(command: str) -> JobRequest:
    return replace(request(command), local_tracking=True)


def program(root: Path, text: str) -> str:
    path = root / "program.py"
    path.write_text(ASK + text)
    return f"{sys.executable} {path}"


def journal(job: Attempt) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job.path / "tracking/journal").read_text().splitlines()]


def calls(job: Attempt) -> list[tuple[str, Any]]:
    return [(line["route"], line["body"].get("key")) for line in journal(job) if line["op"] == "call"]


def test_nothing_newer_than_python_3_6_is_needed() -> None:
    source = Path(tracking_endpoint.__file__).read_text()
    ast.parse(source, feature_version=(3, 6))
    names = {
        name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for name in [node.names[0].name]
    }
    assert "dataclasses" not in names
    assert "removeprefix" not in source


def test_all_ranks_write_one_journal_that_ends_before_the_job_does(tmp_path: Path) -> None:
    text = "for n in range(50): ask('runs/log-metric', dict(key=sys.argv[1], value=n, timestamp=n, step=n))"
    ranks = program(tmp_path, text)
    job = Attempt(tmp_path, tracking(f"for r in a b c d; do {ranks} $r & done; wait"))
    assert job.to_end() == 0, job.log
    for rank in "abcd":
        steps = [line["body"]["step"] for line in journal(job) if line.get("body", {}).get("key") == rank]
        assert steps == list(range(50))
    assert (journal(job)[0]["op"], journal(job)[-1]["op"]) == ("begin", "end")
    assert (job.path / "tracking/journal").stat().st_mtime <= (job.path / "exit").stat().st_mtime
    assert (job.path / "tracking").stat().st_mode & 0o077 == 0


def test_a_signal_ends_it_only_after_the_job_has_ended(tmp_path: Path) -> None:
    text = (
        "import signal, time\n"
        "def last(*_):\n"
        " signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the job script passes it on too\n"
        " ask('runs/set-tag', dict(key='last', value='x')); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, last)\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    job = Attempt(tmp_path, tracking(program(tmp_path, text)))
    process = job.begin()
    wait_for(lambda: (job.path / "mantik.log").exists() and "ready" in job.log)
    os.killpg(process.pid, signal.SIGTERM)  # as a site does: every process of the job
    process.wait(30)
    assert calls(job) == [("runs/set-tag", "last")], job.log
    assert journal(job)[-1]["op"] == "end"


def test_after_a_requeue_it_goes_on_behind_the_last_whole_line(tmp_path: Path) -> None:
    first = program(tmp_path, "ask('runs/log-parameter', dict(key='lr', value='1'))")
    job = Attempt(tmp_path, tracking(first))
    assert job.to_end() == 0
    with (job.path / "tracking/journal").open("a") as half:
        half.write('{"op":"call","meth')
    other = program(
        tmp_path,
        "import urllib.error\n"
        "try: ask('runs/log-parameter', dict(key='lr', value='2'))\n"
        "except urllib.error.HTTPError as error: print(error.code, json.loads(error.read())['error_code'])\n"
        "ask('runs/log-parameter', dict(key='lr', value='1'))",
    )
    again = Attempt(tmp_path, tracking(other))
    for fence in again.path.glob("fence.*"):
        fence.unlink()
    assert again.to_end(SLURM_RESTART_COUNT="1") == 0, again.log
    assert "400 INVALID_PARAMETER_VALUE" in again.log
    assert [line["op"] for line in journal(again)] == ["begin", "call", "end", "begin", "call", "end"]


def test_without_python_the_job_runs_and_says_where_tracking_goes(tmp_path: Path) -> None:
    job = Attempt(tmp_path, tracking("echo $MLFLOW_TRACKING_URI"), {"MLFLOW_TRACKING_URI": "http://gateway/tracking/"})
    job.program("python3", "echo this one is broken >&2; exit 3")
    assert job.to_end() == 0
    told, seen = job.log.splitlines()
    assert told.startswith("mantik: no tracking beside the job (")
    assert "this one is broken" in told
    assert told.endswith("it goes to http://gateway/tracking/")
    assert seen == "http://gateway/tracking/"


def test_a_proxy_of_the_site_is_not_asked(tmp_path: Path) -> None:
    job = Attempt(tmp_path, tracking("echo $NO_PROXY; echo $no_proxy"), {"NO_PROXY": "intern"})
    assert job.to_end() == 0
    assert job.log.splitlines() == ["127.0.0.1,intern"] * 2
    config = {"Variables": {"http_proxy": "http://proxy:1", "no_proxy": ".site"}}
    wanted = replace(request("echo $NO_PROXY; echo $no_proxy", config), local_tracking=True)
    job = Attempt(tmp_path / "later", wanted)
    assert job.to_end() == 0
    assert job.log.splitlines() == ["127.0.0.1,.site"] * 2


@pytest.fixture
def store(tmp_path: Path) -> tracking_endpoint.Store:
    store = tracking_endpoint.Store(str(tmp_path / "tracking"), OWN, "a run", "main")
    store.load()
    return store


def log(store: tracking_endpoint.Store, key: str) -> None:
    store.call("POST", "runs/log-metric", {"run_id": OWN, "key": key, "value": 1, "timestamp": 1}, None)


def test_a_full_disk_holds_lines_back_and_counts_what_has_no_room(
    store: tracking_endpoint.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, full = os.write, True

    def sometimes(fd: int, data: bytes) -> int:
        return write(fd, data[: len(data) // 2]) if full else write(fd, data)

    monkeypatch.setattr(tracking_endpoint.os, "write", sometimes)
    log(store, "held back")
    monkeypatch.setattr(tracking_endpoint, "MOST_WAITING", 300)
    for _ in range(5):
        log(store, "no room")
    full = False
    while not store.journal.flush():
        pass
    log(store, "later")
    lines = list(store.journal.lines())
    assert [line["body"]["key"] for line in lines if line["op"] == "call"] == ["held back", "no room", "later"]
    assert [line["lines"] for line in lines if line["op"] == "dropped"] == [4]
    assert {m["key"] for m in store.ask("runs/get", {"run_id": OWN}, None)["run"]["data"]["metrics"]} == {
        *("held back", "no room", "later")
    }


class Served:
    """The endpoint in a thread of this process."""

    def __init__(self, store: tracking_endpoint.Store, upstream: tuple[str, str] = ("", "")) -> None:
        handler = type("Handler", (tracking_endpoint.Handler,), {"store": store, "token": "t", "upstream": upstream})
        self.server = tracking_endpoint.Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.http = httpx.Client(base_url=base, headers={"authorization": "Bearer t"}, trust_env=False)

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.server.shutdown()
        self.server.server_close()

    def call(self, method: str, route: str, **body: Any) -> httpx.Response:
        return self.http.request(method, f"/api/2.0/mlflow/{route}", json=body)


def test_only_the_job_may_ask(store: tracking_endpoint.Store) -> None:
    with Served(store) as served:
        answer = served.http.get(
            "/api/2.0/mlflow/runs/get", params={"run_id": OWN}, headers={"authorization": "Bearer x"}
        )
        assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")
        assert served.http.get("/health").text == "OK"


@pytest.mark.parametrize(
    ("route", "body", "status", "word"),
    [
        ("runs/log-metric", {"run_id": OWN, "key": "k", "value": "many"}, 400, "value, step and timestamp"),
        ("runs/log-metric", {"run_id": OWN, "value": 1}, 400, "key"),
        ("runs/log-batch", {"run_id": OWN, "metrics": [{"key": "k", "value": 1}] * 1001}, 400, "at most 1000"),
        ("runs/set-tag", {"run_id": OWN, "key": "mantik.jobId", "value": "x"}, 403, "the gateway's own"),
        ("runs/delete-tag", {"run_id": OWN, "key": "none"}, 404, "No tag"),
        ("logged-models", {"name": "m"}, 403, "source_run_id"),
        ("runs/log-metric", {"run_id": OWN, "key": "acc@1", "value": 1}, 400, "Names may only contain"),
        ("runs/log-metric", {"run_id": "f" * 32, "key": "k", "value": 1}, 400, "cannot ask the gateway"),
    ],
)
def test_what_is_refused_is_not_written(
    store: tracking_endpoint.Store, route: str, body: dict[str, Any], status: int, word: str
) -> None:
    with Served(store) as served:
        answer = served.call("POST", route, **body)
    assert (answer.status_code, word in answer.json()["message"]) == (status, True), answer.text
    assert [line["op"] for line in store.journal.lines()] == ["begin"]


@pytest.mark.parametrize("content", [b"", b"x" * 3_000_000])
def test_files_come_whole_and_in_chunks_too(store: tracking_endpoint.Store, content: bytes) -> None:
    place = f"/api/2.0/mlflow-artifacts/artifacts/0/{OWN}/artifacts/a/b.bin"
    with Served(store) as served:
        for body in (content, iter([content[:7], content[7:]])):
            assert served.http.put(place, content=body).status_code == 200
            assert served.http.get(place).content == content
        listed = served.http.get("/api/2.0/mlflow/artifacts/list", params={"run_id": OWN, "path": "a"}).json()["files"]
        assert listed == [{"path": "a/b.bin", "is_dir": False, "file_size": len(content)}]
        for wrong in (f"0/{OWN}/artifacts/../x", f"0/{'f' * 32}/artifacts/x", "x"):
            assert served.http.put(f"/api/2.0/mlflow-artifacts/artifacts/{wrong}", content=b"x").status_code == 403
        for taken in ("a", "a/b.bin/c", "mantik/job.sh", "x" * 300):
            assert served.http.put(f"{place[:-7]}{taken}", content=b"x").status_code in (400, 403)
    assert len(list(Path(store.folder, "files").iterdir())) == 1


def test_an_upload_that_breaks_off_leaves_nothing(store: tracking_endpoint.Store) -> None:
    def broken() -> Any:
        yield b"half"
        raise RuntimeError("the client dies")

    with Served(store) as served:
        with pytest.raises(RuntimeError):
            served.http.put(f"/api/2.0/mlflow-artifacts/artifacts/0/{OWN}/artifacts/b", content=broken())
        wait_for(lambda: not list(Path(store.folder, "files").iterdir()))
        head = f"PUT /api/2.0/mlflow-artifacts/artifacts/0/{OWN}/artifacts/b HTTP/1.1\r\nAuthorization: Bearer t\r\n"
        for body in ("4\r\nhalf\r\n", "4\r\nhalf\r\nno size\r\n"):
            with socket.create_connection(served.server.server_address[:2], timeout=30) as client:
                client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{body}".encode())
                client.shutdown(socket.SHUT_WR)
                while client.recv(1000):
                    pass
            assert not list(Path(store.folder, "files").iterdir())
    assert [line["op"] for line in store.journal.lines()] == ["begin"]


def test_what_the_job_did_not_make_is_asked_of_the_gateway(store: tracking_endpoint.Store, tmp_path: Path) -> None:
    other = tracking_endpoint.Store(str(tmp_path / "gateway"), "f" * 32, "another run", "main")
    other.load()
    with Served(other) as gateway, Served(store, (str(gateway.http.base_url), "t")) as served:
        ask = {"run_id": "f" * 32}
        found = served.http.get("/api/2.0/mlflow/runs/get", params=ask).json()
        assert found["run"]["info"]["run_name"] == "another run"
    with Served(store, ("http://127.0.0.1:9", "t")) as served:
        answer = served.http.get("/api/2.0/mlflow/runs/get", params=ask)
        assert (answer.status_code, "does not answer now" in answer.text) == (400, True)


def test_many_at_once_lose_nothing(store: tracking_endpoint.Store) -> None:
    with Served(store) as served, ThreadPoolExecutor(16) as ranks:

        def tag(n: int) -> int:
            return served.call("POST", "runs/set-tag", run_id=OWN, key=f"k{n}", value="v").status_code

        answers = list(ranks.map(tag, range(400)))
    assert set(answers) == {200}
    assert len([line for line in store.journal.lines() if line["op"] == "call"]) == 400


def test_an_endpoint_that_is_killed_is_back_on_its_port(tmp_path: Path) -> None:
    text = (
        "import signal, time\n"
        "ask('runs/log-parameter', dict(key='lr', value='1'))\n"
        "own = os.getpgid(0)\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    try: words, stat = open(f'/proc/{pid}/environ').read(), open(f'/proc/{pid}/stat').read().split()\n"
        "    except OSError: continue\n"
        "    if f'tracker_folder={sys.argv[1]}' in words and open(f'/proc/{stat[3]}/comm').read() == 'python3\\n':\n"
        "        os.kill(int(pid), signal.SIGKILL)\n"
        "for n in range(100):\n"
        "    try: ask('runs/log-parameter', dict(key='lr', value='1')); print('back'); break\n"
        "    except OSError: time.sleep(0.2)\n"
    )
    job = Attempt(tmp_path, tracking(f"{program(tmp_path, text)} {tmp_path}/run-1/1/tracking"))
    assert job.to_end() == 0, job.log
    assert job.log == "back\n"
    assert [line["op"] for line in journal(job)] == ["begin", "call", "begin", "call", "end"]


def test_a_disk_that_is_full_only_at_fsync_ends_nothing(
    store: tracking_endpoint.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> None:
        raise OSError(122, "Disk quota exceeded")

    with monkeypatch.context() as quota:
        quota.setattr(tracking_endpoint.os, "fsync", full)
        log(store, "k")
        store.journal.sync()
    assert store.journal._dirty
    store.journal.sync()
    assert not store.journal._dirty


def test_what_a_crash_left_in_the_journal_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "tracking"
    first = tracking_endpoint.Store(str(folder), OWN, "a run", "main")
    first.load()
    log(first, "k")
    with (folder / "journal").open("ab") as journal:
        journal.write(b"\0" * 100 + b"\n")
        journal.write(b'{"op":"call","method":"POST","route":"runs/log-metric","body":{"run_id":"of nobody"}}\n[]\n')
    log(first, "l")
    again = tracking_endpoint.Store(str(folder), OWN, "a run", "main")
    again.load()
    assert {m["key"] for m in again.ask("runs/get", {"run_id": OWN}, None)["run"]["data"]["metrics"]} == {"k", "l"}


def test_it_ends_when_its_script_was_killed(tmp_path: Path) -> None:
    job = Attempt(tmp_path, tracking("echo ready; sleep 60"))
    process = job.begin()
    wait_for(lambda: (job.path / "mantik.log").exists() and "ready" in job.log)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    wait_for(lambda: journal(job)[-1]["op"] == "end")
    subprocess.run(["pkill", "-g", str(process.pid)], check=False)
