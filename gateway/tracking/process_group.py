"""Ending a process with all that it started."""

import contextlib
import os
import signal
import time

import psutil

STOP_SECONDS = 5.0


def end_group(group: int) -> None:
    """TERM, then KILL; returns when no process of the group runs."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
        until = time.monotonic() + STOP_SECONDS
        while _running(group):
            if time.monotonic() > until:
                break
            time.sleep(0.02)
        else:
            return


def _running(group: int) -> bool:
    """Zombies do not count: their parent, perhaps this process, takes them later."""
    for process in psutil.process_iter(["pid", "status"]):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False
