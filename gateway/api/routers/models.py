"""Trained models; the paths below a project are those of the published client."""

import asyncio
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, status
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from gateway.api.dependencies import PAGE, CallerDep, ContextDep, Cursor, Limit, ModelId, ProjectId, address
from gateway.api.rate import RateLimit
from gateway.context import Context
from gateway.errors import NotFound
from gateway.models import files, image, links, registration, service
from gateway.models.files import Archive
from gateway.models.rows import TrainedModel
from gateway.schemas.models import ChangeModel, Link, ModelPage, ModelView, RegisterModel
from gateway.tracking.logged import IDLE_SECONDS
from gateway.users.throttle import subject_of_address

Responses = dict[int | str, dict[str, Any]]

router = APIRouter(tags=["Models"])
ALL = "/projects/{projectId}/models/trained"
ONE = f"{ALL}/{{modelId}}"
IMAGES = "/model-images"
SAFE = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox", "cache-control": "no-store"}
TAR: Responses = {200: {"content": {"application/x-tar": {}}, "description": "The model's files, in one folder."}}
TAR_GZ: Responses = {200: {"content": {"application/gzip": {}}, "description": "Dockerfile, README and model."}}


@router.get(ALL)
async def list_models(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, cursor: Cursor = None, limit: Limit = PAGE
) -> ModelPage:
    """Models of the project, newest first."""
    return await service.listing(context.db, caller, project_id, cursor, limit)


@router.post(ALL, status_code=status.HTTP_201_CREATED)
async def register_model(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, body: RegisterModel
) -> ModelView:
    """Give a model of a finished run a name that is unique in the project, and put it into MLflow's registry."""
    return await registration.register(context.db, context.tracking, caller, project_id, body)


@router.get(ONE)
async def show_model(context: ContextDep, caller: CallerDep, project_id: ProjectId, model_id: ModelId) -> ModelView:
    """One model, with run, commit, job, site, account and cost."""
    return await service.show(context.db, caller, project_id, model_id)


@router.put(ONE)
async def rename_model(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, model_id: ModelId, body: ChangeModel
) -> ModelView:
    """Give it another name, in MLflow too."""
    return await service.rename(context.db, context.tracking, caller, project_id, model_id, body)


@router.delete(ONE, status_code=status.HTTP_204_NO_CONTENT)
async def unregister_model(context: ContextDep, caller: CallerDep, project_id: ProjectId, model_id: ModelId) -> None:
    """Take it out of the project and of MLflow's registry; what the run logged stays."""
    await service.unregister(context.db, context.tracking, caller, project_id, model_id)


@router.get(f"{ONE}/download", response_class=StreamingResponse, responses=TAR)
async def download_model(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, model_id: ModelId
) -> StreamingResponse:
    """The files of the model as a tar."""
    return _sent(await files.download(context.db, context.tracking, caller, project_id, model_id), "application/x-tar")


@router.get(f"{ONE}/docker")
async def show_model_image(context: ContextDep, caller: CallerDep, project_id: ProjectId, model_id: ModelId) -> Link:
    """Where the archive for a container image is, once it was built."""
    return _link(context, await image.built(context.db, caller, project_id, model_id))


@router.post(f"{ONE}/docker/build")
async def build_model_image(context: ContextDep, caller: CallerDep, project_id: ProjectId, model_id: ModelId) -> Link:
    """Make the archive of which a container image is built that serves the model; it holds MLflow's Dockerfile."""
    return _link(context, await image.build(context.db, context.tracking, caller, project_id, model_id))


@router.get(f"{IMAGES}/{{link}}/{{fileName}}", response_class=StreamingResponse, responses=TAR_GZ)
async def download_model_image(
    request: Request,
    context: ContextDep,
    link: Annotated[str, Path(max_length=200)],
    file_name: Annotated[str, Path(alias="fileName", max_length=300)],
) -> StreamingResponse:
    """The archive for a container image, by the link that was given for an hour."""
    visitors: RateLimit = request.app.state.rate_limit
    visitors.take(subject_of_address(address(request)))
    model_id = links.opened_by(context.vault, link)
    found = await image.packed(context.db, context.tracking, model_id) if model_id is not None else None
    if found is None:
        raise NotFound("This link has ended.", next_step="Ask for another one.")
    return _sent(found, "application/gzip")


def _link(context: Context, model: TrainedModel) -> Link:
    place = f"{IMAGES}/{links.link_of(context.vault, model.id)}/{quote(model.name)}.tar.gz"
    return Link(url=f"{context.settings.public_url}/api/v1{place}")


def _sent(found: Archive, media_type: str) -> StreamingResponse:
    length = {"content-length": str(found.size)} if found.size is not None else {}
    disposition = {"content-disposition": f'attachment; filename="{found.name}"'}
    return _Archived(found, media_type, {**SAFE, **disposition, **length})


class _Archived(StreamingResponse):
    """Gives the archive's place back, however the sending ends; it ends for a reader who takes nothing any more."""

    def __init__(self, found: Archive, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(found.content, media_type=media_type, headers=headers)
        self._place = found.place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_time(message: Message) -> None:
            async with asyncio.timeout(IDLE_SECONDS):
                await send(message)

        try:
            await super().__call__(scope, receive, in_time)
        finally:
            self._place.release()
