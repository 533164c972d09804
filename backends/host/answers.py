"""Answers of `entry.sh` as values or typed errors."""

from datetime import UTC, datetime

from backends.errors import InvalidJob, JobNotFound, SiteUnavailable
from backends.host.shell import Completed
from backends.reasons import Reason
from backends.spec import FileInfo

FAILED, NOT_THERE, LEAVES = 1, 65, 66
_FULL = ("no space left on device", "disk quota exceeded", "file table overflow", "wrote only ")
"""The last is how tar says it."""


def checked(done: Completed, what: str, reason: Reason = Reason.PREPARE_FAILED) -> bytes:
    """What a verb printed when it succeeded; else InvalidJob, JobNotFound or SiteUnavailable."""
    if done.code == 0:
        return done.stdout
    text = done.stderr.decode(errors="replace").strip()
    last = text.splitlines()[-1].removeprefix("mantik: ") if text else f"exit code {done.code}"
    if any(words in text.lower() for words in _FULL):
        message = f"The disk or quota of the work directory is full: {what} failed. Make room there, then submit again."
        raise InvalidJob(message, reason=Reason.DISK_FULL, text=text)
    if done.code == NOT_THERE:
        raise JobNotFound(f"The site has no such file or directory: {what}.", text=text)
    if done.code == LEAVES:
        raise JobNotFound(f"{last}: only files of the run can be read.", text=text)
    if done.code == FAILED and text:
        raise InvalidJob(f"The site could not {what}: {last}.", reason=reason, text=text)
    # A shell that was killed, had no process left or lost its connection: no word about the job.
    raise SiteUnavailable(f"The site could not {what} now: {last}.", text=text)


def key_values(text: str) -> dict[str, str]:
    """Lines `key=value`; a line of a login shell between them does no harm."""
    return dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)


def number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() else None


def file_info(path: str, fields: list[str]) -> FileInfo:
    """`size type mtime identity` as `find -printf` says it."""
    size, kind, changed, identity = fields
    directory = kind == "d"
    at = datetime.fromtimestamp(float(changed), UTC)
    return FileInfo(path, 0 if directory else int(size), directory, at, "" if directory else identity)
