"""What is wrong, or doubtful, in a config, and where."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class ConfigProblem:
    """One finding in one place.

    `line` and `column` count from 1 and are None where the config did not come as text.
    `field` is the path of keys as the file spells them, empty for the file as a whole.
    `given` and `allowed` are for people; `given` never holds the value of a variable.
    """

    file: str
    line: int | None
    column: int | None
    field: str
    given: str | None
    allowed: str | None
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class InvalidConfig(Exception):
    """The config cannot be used; `problems` holds every error found, `warnings` what else was noticed."""

    def __init__(self, problems: tuple[ConfigProblem, ...], warnings: tuple[ConfigProblem, ...] = ()) -> None:
        super().__init__(problems, warnings)
        self.problems = problems
        self.warnings = warnings

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)
