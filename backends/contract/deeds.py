"""What a job of a test does. On a host each is a line of shell; another backend translates them itself."""

import shlex
from dataclasses import dataclass
from typing import Protocol


class Deed(Protocol):
    """One step of a command."""

    def shell(self) -> str:
        """As a line of bash; MANTIK_OUTPUTS_DIR is the run's `outputs/`, the log is stdout."""
        ...


@dataclass(frozen=True, slots=True)
class AppendsTo:
    """One line at the end of `outputs/<name>`, so that starts can be counted."""

    name: str

    def shell(self) -> str:
        return f'echo started >>"$MANTIK_WORKING_DIRECTORY"/../outputs/{self.name}'


@dataclass(frozen=True, slots=True)
class Exits:
    code: int

    def shell(self) -> str:
        return f"exit {self.code}"


@dataclass(frozen=True, slots=True)
class Kills:
    """The command ends by this signal."""

    signal: int

    def shell(self) -> str:
        return f"kill -{self.signal} $BASHPID"


@dataclass(frozen=True, slots=True)
class Prints:
    text: str

    def shell(self) -> str:
        return f"printf %s {shlex.quote(self.text)}"


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """Goes on when `outputs/<name>` is there; a cancelled job never does. Gives up after two minutes."""

    name: str

    def shell(self) -> str:
        return f'for _ in $(seq 2400); do [ -e "$MANTIK_OUTPUTS_DIR"/{self.name} ] && break; sleep 0.05; done'


@dataclass(frozen=True, slots=True)
class ShowsVariable:
    """The value of an environment variable, exactly, as `outputs/<name>`."""

    variable: str
    name: str

    def shell(self) -> str:
        return f'printenv -0 {self.variable} | head -c -1 >"$MANTIK_OUTPUTS_DIR"/{self.name}'


@dataclass(frozen=True, slots=True)
class WritesArguments:
    """The arguments, each ended by NUL, as `outputs/<name>`: parameters as MLflow quotes them."""

    arguments: tuple[str, ...]
    name: str

    def shell(self) -> str:
        return f"printf '%s\\0' {shlex.join(self.arguments)} >\"$MANTIK_OUTPUTS_DIR\"/{shlex.quote(self.name)}"


@dataclass(frozen=True, slots=True)
class Links:
    """A symbolic link `outputs/<name>`."""

    name: str
    target: str

    def shell(self) -> str:
        return f'ln -s {shlex.quote(self.target)} "$MANTIK_OUTPUTS_DIR"/{self.name}'


@dataclass(frozen=True, slots=True)
class GrowsLog:
    """A log of this size with holes, and a line at its end."""

    size: int
    last: str

    def shell(self) -> str:
        return f"truncate -s {self.size} /dev/stdout; printf %s {shlex.quote(self.last)}"
