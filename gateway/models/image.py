"""The archive of which a container image is built that serves a model: MLflow's Dockerfile beside the model's files."""

import asyncio
import contextlib
import os
import re
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import yaml
from sqlalchemy import update

from gateway.db.session import Database
from gateway.errors import Conflict, Unavailable
from gateway.mlproject_limits import OverLimit, check_file
from gateway.models import archive
from gateway.models.archive import Member
from gateway.models.files import Archive, members_of, place, readable
from gateway.models.rows import TrainedModel
from gateway.models.words import Status
from gateway.tracking.client import TrackingClient
from gateway.tracking.logged import MARK
from gateway.users.caller import Caller

FOLDER = "model_dir/model"
"""Where MLflow's Dockerfile looks for a model that was called `model`."""
DESCRIPTIONS = ("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt")
"""All that MLflow reads of a model for its Dockerfile."""
MOST_BYTES = 1 << 20
BUILD_SECONDS, TURN_SECONDS = 30.0, 30.0
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")
_PLAIN = re.compile(r"\w[\w.-]*", re.ASCII)
_one_at_a_time = asyncio.Semaphore(1)
README = """\
# An image that serves this model

The Dockerfile is MLflow's (`mlflow models generate-dockerfile`). The gateway has not built it. What a build needs:

- Docker, Podman or Buildah on a machine of yours: `docker build -t NAME .` in this folder.
- The network: it pulls a base image, and installs nginx, MLflow and what the model names in `requirements.txt`. That
  takes some minutes and some GB.
- A site without Docker: build it elsewhere, then `apptainer build model.sif docker-archive://model.tar` of what
  `docker save -o model.tar NAME` wrote.

`docker run -p 5001:8080 NAME` serves it; `POST http://localhost:5001/invocations` asks it.
"""


async def build(
    db: Database, tracking: TrackingClient, caller: Caller, project_id: uuid.UUID, model_id: uuid.UUID
) -> TrainedModel:
    """Have MLflow write the Dockerfile, some seconds long, and keep it. Raises Conflict where MLflow cannot."""
    model = await readable(db, caller, project_id, model_id, "researcher")
    members = {m.path: m for m in await members_of(tracking, model, "model")}
    with tempfile.TemporaryDirectory(prefix="mantik-image-") as name:
        folder = Path(name)
        (folder / "model").mkdir()
        for description in DESCRIPTIONS:
            if (found := members.get(f"model/{description}")) is not None:
                await asyncio.to_thread((folder / found.path).write_bytes, await _whole(found))
        await asyncio.to_thread(check_description, folder / "model" / MARK)
        async with _turn():
            text = await _dockerfile(folder)
    async with db.transaction() as session:
        await session.execute(update(TrainedModel).where(TrainedModel.id == model_id).values(dockerfile=text))
    return model


async def built(db: Database, caller: Caller, project_id: uuid.UUID, model_id: uuid.UUID) -> TrainedModel:
    """Raises Conflict before it was built."""
    model = await readable(db, caller, project_id, model_id, "reporter")
    if model.dockerfile is None:
        raise Conflict(
            f"The archive for an image of {model.name} was not built yet.", next_step="Ask POST docker/build for it."
        )
    return model


async def packed(db: Database, tracking: TrackingClient, model_id: uuid.UUID) -> Archive | None:
    """The archive, for whoever has a link to it; None when the model is gone."""
    async with db.reading() as session:
        model = await session.get(TrainedModel, model_id)
    if model is None or model.dockerfile is None or model.source is None or model.status == Status.UNREGISTERING:
        return None
    own = [archive.member("Dockerfile", model.dockerfile.encode()), archive.member("README.md", README.encode())]
    members = own + await members_of(tracking, model, FOLDER)
    return Archive(f"{model.name}.tar.gz", None, archive.gzipped(archive.tar(members)), await place(tracking))


def check_description(path: Path) -> None:
    """Raises Conflict for a description whose environment is not a file beside it: MLflow opens whatever is named."""
    cannot = f"MLflow cannot make an image of this model: {MARK}"
    try:
        data = path.read_bytes()
        check_file(MARK, data)
        told = yaml.safe_load(data)
    except OverLimit as error:
        raise Conflict(f"MLflow cannot make an image of this model: {error}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        raise Conflict(f"{cannot} is missing or is not YAML.") from None
    for name in _environments(told):
        if not isinstance(name, str) or not _PLAIN.fullmatch(name):
            raise Conflict(
                f"{cannot} names the environment {str(name)[:80]!r}, which is no file beside it.",
                next_step="Log the model again with MLflow.",
            )


def _environments(told: object) -> Iterator[object]:
    """Of every flavor: one name, or one per tool."""
    flavors = told.get("flavors") if isinstance(told, dict) else None
    for flavor in flavors.values() if isinstance(flavors, dict) else ():
        given = flavor.get("env") if isinstance(flavor, dict) else None
        names = given.values() if isinstance(given, dict) else [given]
        yield from (name for name in names if name is not None)


@contextlib.asynccontextmanager
async def _turn() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await _one_at_a_time.acquire()
    except TimeoutError:
        raise Unavailable("The gateway makes other images now.", next_step="Try again in a minute.") from None
    try:
        yield
    finally:
        _one_at_a_time.release()


async def _whole(found: Member) -> bytes:
    if found.size > MOST_BYTES:
        raise Conflict(f"The file {found.path} has more than {MOST_BYTES} bytes, too many to describe a model.")
    return b"".join([chunk async for chunk in found.content()])


async def _dockerfile(folder: Path) -> str:
    """By the program, because MLflow is never imported here."""
    command = ("-m", "mlflow", "models", "generate-dockerfile", "-m", "model", "-d", ".")
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=folder,
        env={**kept, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": "sqlite:///unused.db"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(BUILD_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        raise Unavailable("MLflow did not write the Dockerfile in time.", next_step="Try again later.") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    written = folder / "Dockerfile"
    if process.returncode != 0 or not written.exists():
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise Conflict(f"MLflow cannot make an image of this model: {last[0]}")
    return await asyncio.to_thread(written.read_text)
