"""What the files of an attempt say: fences, the exit file, the log's size; parsed from one answer for many attempts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from backends.reasons import Reason

REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class ExitFile:
    """What the job script wrote at its end: of which job, which start of it, and how."""

    job_id: str
    restarts: int
    code: int
    signal: int | None
    started_at: datetime
    ended_at: datetime
    reason: Reason | None = None
    """Why the command was not even begun: no image, no module."""


@dataclass(slots=True)
class Files:
    """The evidence in one attempt's directory."""

    gone: bool = False
    fences: tuple[str, ...] = ()
    exit: ExitFile | None = None
    site_exit: int | None = None
    """Exit code that the supervisor of this machine recorded."""
    time_limit: bool = False
    disk_full: bool = False
    """The job script could not even say how it ended."""
    log_size: int | None = None
    log_identity: str = ""

    @property
    def fence(self) -> str | None:
        """Who passed. Never two, for a ticket is renamed once; the gateway's seizure counts first."""
        return REVOKED if REVOKED in self.fences else (self.fences[0] if self.fences else None)


def parse_evidence(text: str) -> Mapping[str, Files] | None:
    """Files by `<run>/<attempt>`; None when the answer is not whole."""
    lines = text.splitlines()
    if not lines or lines[-1] != "end":
        return None
    found: dict[str, Files] = {}
    for line in lines[:-1]:
        kind, _, rest = line.partition(" ")
        name, _, value = rest.partition(" ")
        directory = name.removesuffix("/mantik.log") if kind == "log" else name
        files = found.setdefault(directory, Files())
        if kind == "gone":
            files.gone = True
        elif kind == "fence":
            files.fences = (*files.fences, value)
        elif kind == "exit":
            files.exit = parse_exit(value)
        elif kind == "site_exit":
            first = value.split(" ")[0]
            files.site_exit = int(first) if first.isdecimal() and len(first) <= 3 else None
        elif kind == "time_limit":
            files.time_limit = True
        elif kind == "disk_full":
            files.disk_full = True
        elif kind == "log":
            size, _, files.log_identity = value.partition(" ")
            files.log_size = int(size)
    return found


def parse_exit(text: str) -> ExitFile | None:
    """`job=<id> restarts=<n> code=<n> signal=<n or -> started=<s> ended=<s> reason=<word or -> end`; None when it is
    not whole."""
    words = text.split()
    if not words or words[-1] != "end":
        return None
    values = dict(word.partition("=")[::2] for word in words[:-1])
    try:
        signal = None if values["signal"] == "-" else int(values["signal"])
        started, ended = (datetime.fromtimestamp(int(values[name]), UTC) for name in ("started", "ended"))
        word = values["reason"]
        reason = None if word == "-" else Reason(word)
        code, restarts = int(values["code"]), int(values["restarts"])
        if not (0 <= code <= 255 and 0 <= restarts <= 1_000_000 and (signal is None or 0 < signal <= 64)):
            return None  # the job can write here, too
        return ExitFile(values["job"], restarts, code, signal, started, ended, reason)
    except (KeyError, ValueError, OverflowError, OSError):
        return None
