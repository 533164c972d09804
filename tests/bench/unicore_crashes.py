"""200 injected crashes over real UNICORE/X 11 and 10: kill -9 of the server or of the gateway, at named moments.

One run and one crash at a time; number n is always the same crash. A proxy between gateway and server sees the moment
come, and the victim dies before the reply is passed on, or some time after it. The code of each run appends a line to
a file of its own: two lines are a duplicate. Lost is a run that did not end FINISHED with its code run, when late
evidence was looked for once more; stuck is one that did not end. Counted apart is what the gateway cannot mend: a
killed server forgot the job, with its directory, that it was being told to start. That run is LOST with its evidence
and never submitted again, for the server may have handed the job on before.

A part begins no crash after 15 minutes. What was injected is kept beside the servers' state, so that the next part
goes on, until all are done or the code that it is about has changed.
"""

import hashlib
import json
import random
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

import backends.unicore
import gateway.engine
from backends.reasons import Reason
from tests.backends.unicore.proxy import Fault, Proxy, proxied
from tests.bench.scene import folder, nowhere
from tests.bench.table import Figure
from tests.bench.unicore_scene import config, connect, server
from tests.site_fixtures import STATE, UnicoreSite
from tests.whole.gateway_process import FINAL, GatewayProcess
from tests.whole.workshop import Workshop, make_repository

CRASHES, SMALL = 200, 6
PART_SECONDS = 15 * 60
PATIENCE = 180.0
LATE_SECONDS = 30.0
SERVERS = ("11-crash", "10-crash")
DELAYS = (None, 0.0, 0.1, 0.3, 0.6)
"""Seconds from the reply to the kill; None: the victim dies before the reply is passed on."""
FORGOTTEN = "It is not known whether the job was submitted, and its directory on the site is gone."
MLPROJECT = """\
name: crashes
entry_points:
  main:
    parameters:
      marker: {type: path}
    command: "echo ran >>{marker}; echo begun; sleep 1; echo done"
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """The next request of this method whose path ends so, from the submission on, or once the code has begun."""

    name: str
    method: str
    ending: str
    begun: bool = False


MOMENTS = (
    Moment("create", "POST", "/jobs"),
    Moment("upload of env", "PUT", "/env"),
    Moment("upload of the script", "PUT", "/job.sh"),
    Moment("upload of the code", "PUT", ".tar.gz"),
    Moment("ticket", "PUT", "/ticket"),
    Moment("start", "POST", "/actions/start"),
    Moment("look at a running job", "GET", "", begun=True),
    Moment("copy of the log", "GET", "/mantik.log"),
    Moment("read of the exit file", "GET", "/exit"),
    Moment("removal of env", "DELETE", "/env"),
)


@dataclass(frozen=True, slots=True)
class Crash:
    number: int
    server: str
    victim: str
    moment: Moment
    delay: float | None

    @classmethod
    def of(cls, number: int) -> "Crash":
        """Servers take turns; then moments, then victims: forty crashes have seen all; delays are drawn."""
        moment = MOMENTS[number // 2 % len(MOMENTS)]
        victim = ("server", "gateway")[number // (2 * len(MOMENTS)) % 2]
        delay = random.Random(number).choice(DELAYS)
        return cls(number, SERVERS[number % 2], victim, moment, delay)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the run of one crash."""

    number: int
    crash: str
    happened: bool
    """False when the moment did not come: it counts for nothing."""
    state: str
    reason: str | None
    ran: int
    story: str

    @property
    def verdict(self) -> str:
        if self.ran > 1:
            return "duplicate"
        if self.state not in FINAL:
            return "stuck"
        if self.reason == Reason.LOST and self.ran == 0 and FORGOTTEN in self.story:
            return "forgotten"
        return "good" if self.state == "FINISHED" and self.ran == 1 else "lost"


def measure(*, small: bool = False) -> list[Figure]:
    kept = Kept()
    done = [] if small else kept.load()
    numbers = _spread() if small else iter(range(len(done), CRASHES))
    begin = time.monotonic()
    with folder() as here, Place(here) as place:
        for number in numbers:
            if time.monotonic() - begin > PART_SECONDS:
                break
            done.append(place.inject(Crash.of(number)))
            if not small:
                kept.add(done[-1])
    return [_figure(done, SMALL if small else CRASHES)]


def _spread() -> Iterator[int]:
    """Some of each version, victim and phase."""
    return iter((0, 11, 13, 18, 24, 31)[:SMALL])


def _figure(done: Sequence[Result], wanted: int) -> Figure:
    counted = Counter(result.verdict for result in done if result.happened)
    bad = {verdict: counted[verdict] for verdict in ("duplicate", "lost", "stuck")}
    told = ", ".join(f"{count} {verdict}" for verdict, count in bad.items())
    if counted["forgotten"]:
        told += f"; {counted['forgotten']} that the server itself forgot"
    missed = [f"{r.number} {r.crash}: {r.verdict}" for r in done if r.happened and r.verdict != "good"]
    absolute = f"{counted.total()} of {wanted} injected, {len(done) - counted.total()} moments did not come"
    name = "runs over UNICORE whose server or gateway was killed with -9 at named moments"
    met = not any(bad.values()) and counted.total() > 0
    return Figure(name, "0 duplicate, 0 lost, 0 stuck", told, met, "; ".join([absolute, *missed]))


class Kept:
    """Results of earlier parts: those about the code as it is now."""

    def __init__(self) -> None:
        code = hashlib.sha256()
        for package in (backends.unicore, gateway.engine):
            for file in sorted(Path(package.__path__[0]).glob("*.py")):
                code.update(file.read_bytes())
        self.file = STATE / f"unicore-crashes-{code.hexdigest()[:12]}.jsonl"

    def load(self) -> list[Result]:
        """Empty once all are done: then they are injected anew."""
        if not self.file.exists():
            return []
        found = [Result(**json.loads(line)) for line in self.file.read_text().splitlines()]
        if len(found) < CRASHES:
            return found
        self.file.unlink()
        return []

    def add(self, result: Result) -> None:
        with self.file.open("a") as file:
            file.write(f"{json.dumps(asdict(result))}\n")


class Place:
    """A gateway, and the servers behind their proxies."""

    def __init__(self, here: Path) -> None:
        self.here = here
        self._stack = ExitStack()
        self._proxies: dict[str, Proxy] = {}
        self._connections: dict[str, str] = {}

    def __enter__(self) -> "Place":
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            for name in SERVERS:
                there = stack.enter_context(server(name))
                self._proxies[name] = stack.enter_context(_proxy(portal, there))
            settings = {"MANTIK_TRACKING_URI": nowhere(), "MANTIK_TRACKING_TIMEOUT_SECONDS": "0.2"}
            self.gateway = GatewayProcess(self.here / "gateway", **settings)
            stack.callback(self.gateway.stop)
            self.gateway.start(tracking=False)
            repository = make_repository(self.here / "code", {"MLproject": MLPROJECT})
            self.workshop = Workshop(self.gateway, repository)
            for name, proxy in self._proxies.items():
                quick = {"pollSecondsMin": 0.3, "pollSecondsMax": 1.0}
                self._connections[name] = connect(self.workshop, proxy.site, **quick)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def inject(self, crash: Crash) -> Result:
        proxy = self._proxies[crash.server]
        marker = Path(proxy.site.scratch) / f"crash-{crash.number}-{time.time_ns()}"
        blow = Blow(self._killing(crash, proxy.site), crash.delay)
        fault = None if crash.moment.begun else blow.arm(proxy, crash.moment)
        run_id = self.workshop.submit(
            mlflowParameters={"marker": str(marker)},
            connectionId=self._connections[crash.server],
            computeBudgetAccount="proj1",
            backendConfig=config(proxy.site),
        )
        if fault is None:
            _wait(marker.exists, PATIENCE)
            fault = blow.arm(proxy, crash.moment)
        _wait(lambda: blow.over.is_set() or (not blow.struck.is_set() and self._ended(run_id)), PATIENCE)
        fault.times = 0
        if blow.struck.is_set():
            _wait(blow.over.is_set, PATIENCE)
        proxy.faults.clear()
        proxy.seen.clear()
        return self._result(crash, run_id, marker, happened=blow.struck.is_set())

    def _killing(self, crash: Crash, there: UnicoreSite) -> Callable[[], None]:
        def server() -> None:
            there.kill()
            there.up()

        def gateway() -> None:
            self.gateway.kill()
            self.gateway.start(tracking=False)

        return server if crash.victim == "server" else gateway

    def _ended(self, run_id: str) -> bool:
        """Also False while the gateway does not answer."""
        with suppress(httpx.TransportError):
            return self.workshop.run(run_id)["state"] in FINAL and "COLLECTING" not in self.workshop.conditions(run_id)
        return False

    def _result(self, crash: Crash, run_id: str, marker: Path, *, happened: bool) -> Result:
        _wait(lambda: self._ended(run_id), PATIENCE)
        if self.workshop.run(run_id)["reason"] == Reason.LOST:
            self._look_again()
            _wait(lambda: self.workshop.run(run_id)["state"] == "FINISHED", LATE_SECONDS)
        run = self.workshop.run(run_id)
        ran = marker.read_text().count("ran") if marker.exists() else 0
        marker.unlink(missing_ok=True)
        words = f"{crash.victim} of {crash.server} at {crash.moment.name}, {_after(crash.delay)}"
        result = Result(crash.number, words, happened, run["state"], run["reason"], ran, self.workshop.story(run_id))
        print(f"{result.number} {words}: {result.verdict if happened else 'did not come'}", file=sys.stderr, flush=True)
        return result

    def _look_again(self) -> None:
        """For late evidence of lost runs, now instead of some minutes later."""
        with closing(sqlite3.connect(self.gateway.data / "gateway.db", timeout=30)) as database, database:
            now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
            database.execute(f"UPDATE runs SET due_at = {now} WHERE due_at IS NOT NULL AND reason = 'LOST'")


class Blow:
    """One kill at a moment; `over` when the victim is up again."""

    def __init__(self, kill: Callable[[], None], delay: float | None) -> None:
        self.struck, self.over = threading.Event(), threading.Event()
        self._kill = kill
        self._delay = delay

    def arm(self, proxy: Proxy, moment: Moment) -> Fault:
        lost = self._delay is None
        return proxy.fault(moment.method, moment.ending, after=self._now if lost else self._later, lose_reply=lost)

    def _now(self) -> None:
        self.struck.set()
        try:
            self._kill()
        finally:
            self.over.set()

    def _later(self) -> None:
        self.struck.set()
        threading.Timer(self._delay or 0, self._now).start()


def _after(delay: float | None) -> str:
    return "reply lost" if delay is None else f"{delay:g} s after the reply"


def _wait(happened: Callable[[], object], seconds: float) -> None:
    """Until it happened, or has not in time, which the caller sees."""
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.1)


@contextmanager
def _proxy(portal: BlockingPortal, there: UnicoreSite) -> Iterator[Proxy]:
    with portal.wrap_async_context_manager(proxied(there)) as proxy:
        yield proxy
