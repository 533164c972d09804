"""Slurm's job states: where a job stands, and which cause a final state names by itself.

https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES
"""

from backends.reasons import Reason
from backends.spec import Phase

_PHASES = {
    Phase.QUEUED: (
        *(
            "PENDING",
            "REQUEUED",
            "REQUEUE_FED",
            "REQUEUE_HOLD",
            "SPECIAL_EXIT",
            "RESV_DEL_HOLD",
            "REVOKED",
            "POWER_UP_NODE",
        ),
    ),
    Phase.STARTING: ("CONFIGURING",),
    Phase.RUNNING: (
        *("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT", "LAUNCH_FAILED"),
    ),
    Phase.ENDED: (
        *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL"),
        *("PREEMPTED", "RECONFIG_FAIL"),
    ),
}
_PHASE_OF = {state: phase for phase, states in _PHASES.items() for state in states}

_REASONS = {
    "CANCELLED": Reason.CANCELLED_ON_SITE,
    "TIMEOUT": Reason.TIME_LIMIT,
    "DEADLINE": Reason.TIME_LIMIT,
    "OUT_OF_MEMORY": Reason.OUT_OF_MEMORY,
    "NODE_FAIL": Reason.NODE_FAILURE,
    "BOOT_FAIL": Reason.NODE_FAILURE,
    "RECONFIG_FAIL": Reason.NODE_FAILURE,
    "LAUNCH_FAILED": Reason.NODE_FAILURE,
    "PREEMPTED": Reason.PREEMPTED,
}


def word(state: str) -> str:
    """`CANCELLED by 1001` and `RUNNING+` without what follows the state."""
    return state.split(maxsplit=1)[0].rstrip("+") if state.strip() else ""


def phase(state: str) -> Phase:
    """A state of a newer Slurm that is not known here is no end: RUNNING, and asked again."""
    return _PHASE_OF.get(word(state), Phase.RUNNING)


def left_queue(state: str) -> bool:
    """States that squeue may show for a moment before the job is PENDING again: accounting, asked after the queue
    let go of the job, decides."""
    return word(state) in {"PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED"}


def reason(state: str) -> Reason | None:
    """The cause, where the state names it."""
    return _REASONS.get(word(state))


LAUNCH_FAILURE_SIGNAL = 53
"""`0:53`: slurmd could not start the script, e.g. its directory was gone (JobLaunchFailure). No real signal."""


def ending(state: str, exits: str) -> tuple[int | None, int | None, Reason | None]:
    """Exit code, signal and cause of an end. Slurm writes 0 for jobs it ended itself, which is no exit code."""
    code, signal = _codes(exits)
    if signal == LAUNCH_FAILURE_SIGNAL:
        return None, None, Reason.NODE_FAILURE
    if signal:
        # `0:9` is an end by signal 9, and no end with code 0.
        return code or None, signal, reason(state)
    if code or (code == 0 and word(state) == "COMPLETED"):
        return code, None, reason(state)
    return None, None, reason(state)


def _codes(exits: str) -> tuple[int | None, int | None]:
    """sacct's `code:signal`, where codes from 128 have lost 128 (137 is `9:0`); squeue's wait status on 22.05."""
    code, _, signal = exits.partition(":")
    if code.isdigit() and signal.isdigit():
        return int(code), int(signal)
    return (int(code) >> 8 & 0xFF, int(code) & 0x7F) if code.isdigit() else (None, None)
