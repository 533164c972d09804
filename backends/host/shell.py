"""How the entry script is run: the one difference between this machine and a login node."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended, with its exit code and what it printed."""

    code: int
    stdout: bytes
    stderr: bytes


class Shell(Protocol):
    """Runs `entry.sh <verb> <words>` on the host as the user of the connection.

    Installs the script in its current version when the host does not have it. Verb and words travel
    percent-encoded (only `[A-Za-z0-9._/=,:@+-]` stand for themselves), so that a forced command can parse them
    without a shell; `entry.sh` decodes them.
    """

    async def run(self, verb: str, *words: str, stdin: bytes = b"", time_limit: float = 60) -> Completed:
        """Run to the end and return what it printed, whatever its exit code.

        Raises SiteUnavailable when the connection or `time_limit` (seconds) ran out: the command may have run;
        HostKeyRejected, AuthenticationFailed, ChallengeRequired when it surely did not.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection. Detached processes on the host go on."""
        ...
