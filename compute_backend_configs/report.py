"""The outcome of checking one file, for `mantik configs check`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compute_backend_configs.loading import load_config
from compute_backend_configs.problems import ConfigProblem, InvalidConfig


@dataclass(frozen=True)
class Report:
    """`config` is the config in the published spelling, None when `problems` holds an error."""

    file: str
    ok: bool
    problems: tuple[ConfigProblem, ...]
    config: dict[str, object] | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON data: file, ok, problems (each with its severity), config."""
        return {
            "file": self.file,
            "ok": self.ok,
            "problems": [asdict(problem) for problem in self.problems],
            "config": self.config,
        }


def check_file(path: Path) -> Report:
    """Reads a file and reports errors and warnings in the order of its lines. Raises nothing for a bad file."""
    try:
        loaded = load_config(path)
    except InvalidConfig as error:
        found = sorted((*error.problems, *error.warnings), key=lambda problem: (problem.line or 0, problem.column or 0))
        return Report(str(path), False, tuple(found), None)
    return Report(str(path), True, loaded.warnings, loaded.config.to_published())
