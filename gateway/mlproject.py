"""The one door to MLproject files: MLflow's own reader, so that what runs is what `mlflow run` would run.

MLflow takes seconds and 200 MB to import, so its reader lives in a process of its own, started at the first use.
"""

import asyncio
import io
import multiprocessing
import os
import re
import tarfile
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path, PurePosixPath
from typing import Any

from gateway.mlproject_limits import LARGEST_COMMAND, OverLimit, check_command, check_file, limit_memory

START_SECONDS = 120.0
ANSWER_SECONDS = 10.0
NAME = re.compile(r"[\w./:-]+")


class InvalidProject(Exception):
    """The MLproject, its entry point or a parameter is not valid; the message names it and what is there."""


@dataclass(frozen=True, slots=True)
class EntryPointCommand:
    """The shell command of an entry point with its parameters filled in, and what a person should know of it."""

    command: str
    project_path: str
    """Directory of the MLproject relative to the top of the code; `.` for the top."""
    warnings: tuple[str, ...] = ()


class ProjectReader:
    """Reads MLproject files out of code bundles in one child process."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self._known: dict[tuple[object, ...], EntryPointCommand] = {}

    async def command(
        self, bundle: Path, mlproject: str, entry_point: str, parameters: Mapping[str, object]
    ) -> EntryPointCommand:
        """The command of `entry_point` of the MLproject (the file, or its directory) inside a gzipped tar.

        Raises InvalidProject."""
        words = {k: _word(v) for k, v in parameters.items()}
        key = (bundle.name, mlproject, entry_point, tuple(sorted(words.items())))
        if key not in self._known:
            if len(self._known) > 1000:
                self._known.clear()
            self._known[key] = await self._ask(str(bundle), mlproject, entry_point, words)
        return self._known[key]

    async def _ask(self, *question: Any) -> EntryPointCommand:
        for _ in range(2):
            async with self._turn:
                try:
                    answer = await self._answer(*question)
                except BrokenProcessPool:
                    self._pool = None
                    continue
            if isinstance(answer, str):
                raise InvalidProject(answer)
            return answer
        raise InvalidProject("The MLproject reader ended twice while it read this project. See the gateway's log.")

    async def _answer(self, *question: Any) -> EntryPointCommand | str:
        loop = asyncio.get_running_loop()
        try:
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_begin)
                async with asyncio.timeout(START_SECONDS):
                    await loop.run_in_executor(self._pool, _start)
            async with asyncio.timeout(ANSWER_SECONDS):
                return await loop.run_in_executor(self._pool, _read, *question)
        except TimeoutError:
            self._kill()
            return f"The MLproject takes more than {ANSWER_SECONDS:.0f} seconds to read. Make it simpler."

    def _kill(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """Runs in the child first: its bounds, and an end when the gateway was killed, whose end a pool does not see."""
    limit_memory()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(0)


def _start() -> None:
    """Runs in the child: what takes long once."""
    import mlflow.projects._project_spec  # noqa: F401


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(bundle: str, mlproject: str, entry_point: str, parameters: dict[str, str]) -> EntryPointCommand | str:
    """Runs in the child. Errors come back as text, for an MLflow exception does not always survive pickling."""
    try:
        return _command(bundle, mlproject, entry_point, parameters)
    except (InvalidProject, OverLimit) as error:
        return str(error)
    except Exception as error:  # MLflow raises many kinds; each is about the user's file
        return f"{mlproject} cannot be read: {' '.join(str(error).split())[:500]}"


def _command(bundle: str, mlproject: str, entry_point: str, parameters: dict[str, str]) -> EntryPointCommand:
    from mlflow.projects import _project_spec as spec

    os.environ["SHELL"] = "bash"  # MLflow runs an entry point `x.sh` by it, and this one is the gateway's
    with tempfile.TemporaryDirectory(prefix="mantik-mlproject-") as folder, tarfile.open(bundle) as tar:
        names = {str(PurePosixPath(m.name)): m for m in tar if m.isfile()}
        top = _top(mlproject, names)
        # Only names matter to MLflow's reader, and the contents of its YAML files: the rest stays packed.
        for name, member in names.items():
            if PurePosixPath(name).parent != PurePosixPath(top):
                continue
            small = member.size < 1 << 20 and PurePosixPath(name).suffix in ("", ".yaml", ".yml")
            file = tar.extractfile(member) if small else io.BytesIO()
            data = file.read() if file else b""
            if PurePosixPath(name).name.lower() == "mlproject":
                if member.size and not data:
                    raise InvalidProject(f"{mlproject} is too large. Make it smaller.")
                check_file(mlproject, data)
            Path(folder, PurePosixPath(name).name).write_bytes(data)
        project = spec.load_project(folder)
        declared = sorted(project._entry_points)
        if entry_point not in declared and str(PurePosixPath(top, entry_point)) not in names:
            known = f"It has: {', '.join(declared)}." if declared else "It declares none."
            raise InvalidProject(f"{mlproject} has no entry point {entry_point!r}. {known}")
        entry = project.get_entry_point(entry_point)
        _check_parameters(entry, entry_point, parameters)
        values = {key: parameter.default for key, parameter in entry.parameters.items()} | parameters
        check_command(mlproject, str(entry.command), values)
        command = entry.compute_command(parameters, storage_dir=None)
        if len(command) > LARGEST_COMMAND:
            raise InvalidProject(f"{mlproject}: the command has more than {LARGEST_COMMAND} characters. Shorten it.")
        given = project.env_type if (project.env_config_path or project.docker_env) else None
        note = f"{mlproject}: {given} is not used on a site; the backend config's Environment says what code runs in."
        return EntryPointCommand(command, top, (note,) if given else ())


def _top(mlproject: str, names: Mapping[str, tarfile.TarInfo]) -> str:
    path = PurePosixPath(mlproject)
    if path.is_absolute() or ".." in path.parts:
        raise InvalidProject(f"mlflowMlprojectFilePath {mlproject!r} must be a path inside the repository.")
    if str(path) in names and path.name.lower() == "mlproject":
        return str(path.parent)
    if str(path / "MLproject") in names:
        return str(path)
    found = [n for n in names if PurePosixPath(n).name == "MLproject"][:5]
    hint = f"It has: {', '.join(found)}." if found else "It has no file of the name MLproject."
    raise InvalidProject(f"There is no MLproject at {mlproject!r} in the repository at this commit. {hint}")


def _check_parameters(entry: object, name: str, given: Mapping[str, str]) -> None:
    declared = entry.parameters  # type: ignore[attr-defined]
    for key in given:
        # MLflow quotes values; a name it does not know stands in the command as it is.
        if key not in declared and not NAME.fullmatch(key):
            raise InvalidProject(f"mlflowParameters: {key!r} is no name of a parameter. Use letters, digits, . _ - / :")
    missing = [p for p, d in declared.items() if d.default is None and p not in given]
    if missing:
        raise InvalidProject(
            f"mlflowParameters: entry point {name!r} needs {', '.join(missing)}. Give each as -P name=value."
        )
    for key, parameter in declared.items():
        value = str(given.get(key, parameter.default))
        if parameter.type == "path" and "://" in value:
            raise InvalidProject(
                f"mlflowParameters.{key}: a `path` is a path on the site, and {value!r} is a URI. "
                "Declare the parameter as `uri` and let the code fetch it."
            )
        if parameter.type == "uri" and "://" not in value:
            raise InvalidProject(f"mlflowParameters.{key}: {value!r} is no URI. Give one with its scheme, as https://")
        if parameter.type == "float":
            _check_float(key, value)


def _check_float(key: str, value: str) -> None:
    try:
        float(value)
    except ValueError:
        raise InvalidProject(f"mlflowParameters.{key}: {value!r} is no number, and its type is float.") from None
