"""How a run ended: one sentence and the exit code of the command that waited for it."""

from typing import TYPE_CHECKING

from gateway.cli.failures import RUN_CANCELLED, RUN_FAILED
from gateway.cli.text import duration, plain

if TYPE_CHECKING:
    from gateway.schemas.runs import RunView


def exit_code(run: "RunView") -> int:
    """The run's own exit code when it ended with one."""
    if run.state == "FINISHED":
        return 0
    if run.exit_code is not None and 0 < run.exit_code < 256:
        return run.exit_code
    return RUN_CANCELLED if run.state == "CANCELLED" else RUN_FAILED


def sentence(run: "RunView") -> str:
    """State, time it took, and why."""
    text = f"Run {plain(run.name)} is {run.state}"
    seconds = took(run)
    if seconds is not None and run.ended_at is not None:
        text += f" after {duration(seconds)}"
    if run.state in ("FAILED", "CANCELLED"):
        why = [plain(run.reason), plain(run.message)]
        if run.exit_code and not run.message:
            why.append(f"exit code {run.exit_code}")
        text += "".join(f": {word}" for word in why if word)
    return text if text.endswith(".") else f"{text}."


def took(run: "RunView") -> float | None:
    """Seconds since it started to run, up to its end; None before."""
    from gateway import clock

    if run.started_at is None:
        return None
    return ((run.ended_at or clock.now()) - run.started_at).total_seconds()
