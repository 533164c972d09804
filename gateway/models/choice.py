"""Which model is meant: of those that a run logged, or by a URI."""

import re
import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

from gateway.db.session import Database
from gateway.errors import Conflict, GatewayError, InvalidInput, NotFound
from gateway.tracking import logged
from gateway.tracking.client import TrackingClient, TrackingRefused
from gateway.tracking.logged import Logged
from gateway.tracking.standing import projects_of

MOST_LISTED = 20
_RUN = re.compile(r"runs:/+([0-9A-Za-z_-]{1,250})/(.+)")
_LOGGED_MODEL = re.compile(r"models:/+(m-[0-9a-f]{1,64})")
_IN_MLFLOW = re.compile(r"(runs|models|mlflow-artifacts):", re.IGNORECASE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]{0,20}://[^\s]+", re.IGNORECASE)


async def of_run(
    db: Database, client: TrackingClient, project_id: uuid.UUID, mlflow_run_id: str, artifact_path: str | None
) -> Logged:
    """The one model that the run logged, or the one at `artifact_path`. Raises InvalidInput that lists the choices."""
    path = artifact_path.strip("/") if artifact_path is not None else None
    missing = InvalidInput("runId: the run is not in MLflow, so it logged no model.")
    try:
        await _require_place(db, await _experiment(client, mlflow_run_id), project_id, missing)
        if path and (found := await logged.folder_at(client, mlflow_run_id, path)) is not None:
            return found
        return chosen(await logged.logged_by(client, mlflow_run_id), path)
    except TrackingRefused as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise missing from None
        raise


def chosen(found: Sequence[Logged], artifact_path: str | None) -> Logged:
    """Raises InvalidInput: for none, and for several with what there is to choose from."""
    if not found:
        raise InvalidInput(
            "runId: the run logged no model.",
            next_step="Log one with MLflow, e.g. mlflow.sklearn.log_model(model, name='model'), and run it again.",
        )
    if artifact_path is not None:
        matches = [one for one in found if artifact_path in (one.path, one.logged_model_id)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise _several(f"the run logged {len(matches)} models {artifact_path}", matches, "the id of one")
        raise _several(f"the run logged no model {artifact_path}", found, "one that it logged")
    if len(found) > 1:
        raise _several(f"the run logged {len(found)} models", found, "the one to register")
    return found[0]


async def by_uri(db: Database, client: TrackingClient, project_id: uuid.UUID, uri: str) -> Logged | None:
    """The model of the project that MLflow has under a URI; None for one that lies elsewhere.

    Raises InvalidInput, Conflict for a logged model whose files are not all there, and NotFound with the same words for
    what is not there and what is another project's."""
    if not _IN_MLFLOW.match(uri):
        if not _ELSEWHERE.fullmatch(uri):
            raise InvalidInput("uri: give one with its scheme, e.g. https://host/path or s3://bucket/path.")
        if "@" in _netloc(uri):
            raise InvalidInput("uri: a user name or password does not belong into a URI. Take it out.")
        return None
    missing = NotFound(f"uri: there is no model at {uri}, or it is not of this project.")
    found: Logged | None
    try:
        if (match := _LOGGED_MODEL.fullmatch(uri)) is not None:
            experiment_id, found = await logged.logged_model(client, match[1])
        elif (match := _RUN.fullmatch(uri)) is not None:
            experiment_id = await _experiment(client, match[1])
            found = await logged.folder_at(client, match[1], match[2].strip("/"))
        else:
            raise InvalidInput("uri: of what MLflow has, give runs:/<run id>/<path> or models:/<logged model id>.")
    except TrackingRefused:
        raise missing from None
    if found is None:
        raise missing
    await _require_place(db, experiment_id, project_id, missing)
    if not found.ready:
        raise Conflict(
            f"uri: the logged model {found} is not complete: its files are not all in MLflow.",
            next_step="Try again when it is READY in MLflow.",
        )
    return found


def _netloc(uri: str) -> str:
    try:
        return urlsplit(uri).netloc
    except ValueError as error:
        raise InvalidInput(f"uri: cannot be read: {error}.") from None


async def _require_place(db: Database, experiment_id: str, project_id: uuid.UUID, missing: GatewayError) -> None:
    """Bytes of another project must not come into this one, whatever run or URI names them."""
    async with db.reading() as session:
        if (await projects_of(session, [experiment_id])).get(experiment_id) != project_id:
            raise missing


async def _experiment(client: TrackingClient, mlflow_run_id: str) -> str:
    run = (await client.call("GET", "runs/get", query=[("run_id", mlflow_run_id)]))["run"]
    return str(run["info"]["experiment_id"])


def _several(what: str, found: Sequence[Logged], give: str) -> InvalidInput:
    names = ", ".join(str(one) for one in found[:MOST_LISTED])
    more = f", and {len(found) - MOST_LISTED} more" if len(found) > MOST_LISTED else ""
    return InvalidInput(f"artifactPath: {what}. There is: {names}{more}.", next_step=f"Give {give} as artifactPath.")
