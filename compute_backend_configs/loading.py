"""File, text or data to a checked config, or to everything that is wrong with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from compute_backend_configs.advice import advice
from compute_backend_configs.config import ComputeBackendConfig
from compute_backend_configs.consistency import contradictions
from compute_backend_configs.data import from_data, plain
from compute_backend_configs.document import Unreadable
from compute_backend_configs.findings import problems_of
from compute_backend_configs.node import Node, show
from compute_backend_configs.older_spellings import modernize
from compute_backend_configs.problems import ConfigProblem, InvalidConfig
from compute_backend_configs.text import MAX_SIZE, read_document

MAX_PROBLEMS = 100


@dataclass(frozen=True)
class LoadedConfig:
    """A valid config and what its author should know about it."""

    config: ComputeBackendConfig
    warnings: tuple[ConfigProblem, ...] = ()


def load_config(path: Path) -> LoadedConfig:
    """Reads a YAML or JSON file of UTF-8 text. Raises InvalidConfig, also when there is no such file."""
    name = str(path)
    try:
        if not path.is_file():
            raise _invalid(name, "is not a file" if path.exists() else "does not exist")
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "the name is not valid"
        raise _invalid(name, f"cannot be read: {reason}") from None
    if len(content) > MAX_SIZE:
        raise _invalid(name, "larger than 1 MiB, so it is not read")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(name, "is not UTF-8 text", content.count(b"\n", 0, error.start) + 1) from None
    return parse_config(text, name=name)


def parse_config(text: str, *, name: str = "config") -> LoadedConfig:
    """Reads YAML or JSON text; `name` stands before each problem. Raises InvalidConfig."""
    try:
        root, problems = read_document(text)
    except Unreadable as error:
        raise InvalidConfig((replace(error.problem, file=name),)) from None
    return _check(root, problems, name)


def parse_config_data(data: Mapping[str, object], *, name: str = "config") -> LoadedConfig:
    """Checks data that is parsed already; its problems name no lines. Raises InvalidConfig."""
    try:
        root = from_data(data)
    except ValueError as error:
        raise _invalid(name, str(error)) from None
    return _check(root, [], name)


def _check(root: Node, problems: list[ConfigProblem], name: str) -> LoadedConfig:
    if not isinstance(root.value, dict):
        raise _invalid(name, f"must be a mapping of keys to values, not {show(root.value)}", root.mark.line)
    warnings, refused = modernize(root)
    data = plain(root)
    assert isinstance(data, dict)  # noqa: S101
    config: ComputeBackendConfig | None = None
    found = [*problems, *refused]
    try:
        config = ComputeBackendConfig.model_validate(data)
    except ValidationError as error:
        found += problems_of(error, root)
    for one in contradictions(data):
        if not any(f"did you mean `{key}`?" in problem.message for key in one.meant for problem in found):
            found.append(root.place(one.path).problem(one.message))
    warnings += advice(root)
    if found or config is None:
        raise InvalidConfig(_in_order(found, name), _in_order(warnings, name))
    return LoadedConfig(config, _in_order(warnings, name))


def _in_order(problems: Iterable[ConfigProblem], name: str) -> tuple[ConfigProblem, ...]:
    named = {replace(problem, file=name): None for problem in problems}
    ordered = sorted(named, key=lambda problem: (problem.line or 0, problem.column or 0))
    if len(ordered) > MAX_PROBLEMS:
        rest = f"{len(ordered) - MAX_PROBLEMS} more problems are not shown"
        last = replace(ordered[MAX_PROBLEMS], field="", given=None, allowed=None, message=rest)
        ordered[MAX_PROBLEMS:] = [last]
    return tuple(ordered)


def _invalid(name: str, message: str, line: int | None = None) -> InvalidConfig:
    return InvalidConfig((ConfigProblem(name, line, None, "", None, None, message),))
