"""`scontrol --version`: which Slurm the site has."""

import re
from dataclasses import dataclass

from backends.slurm.answers import unavailable
from backends.slurm.environment import command


@dataclass(frozen=True, slots=True)
class Version:
    """Asks no daemon."""

    @property
    def argv(self) -> tuple[str, ...]:
        return command("scontrol", "--version")

    def parse(self, code: int, stdout: str, stderr: str) -> str:
        """`Slurm 22.05.8`; Debian writes `slurm-wlm 22.05.8`."""
        match = re.search(r"slurm\S* (\d\S+)", stdout)
        if code != 0 or match is None:
            raise unavailable("scontrol", code, stderr)
        return f"Slurm {match[1]}"
