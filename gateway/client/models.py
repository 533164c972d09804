"""Trained models of one project, for programs with and without asyncio."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from gateway.client import call, unpacking
from gateway.client.call import Call, nothing
from gateway.client.flow import Answer, Flow
from gateway.client.kinds import MODEL
from gateway.client.listings import AsyncListing, Described, Listing
from gateway.client.names import Place, Ref
from gateway.errors import GatewayError, Unavailable
from gateway.schemas.models import ChangeModel, Link, ModelView, RegisterModel

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver

_MLFLOW_SECONDS = 120.0
"""The gateway asks MLflow several times meanwhile."""
_SILENCE_SECONDS = 120.0


class _Described(Described[ModelView, RegisterModel]):
    def create_flow(self, body: RegisterModel) -> Flow[ModelView]:
        path = yield from self._place()
        return (yield from self._session.perform(call.post(path, ModelView, body, seconds=_MLFLOW_SECONDS)))

    def delete_flow(self, ref: Ref) -> Flow[None]:
        """A name may be another model's by the next call."""
        found = yield from self.get_flow(ref)

        def make(path: str) -> Call[None]:
            return Call("DELETE", path, nothing, seconds=_MLFLOW_SECONDS)

        yield from self.on_flow(found.model_id, make)

    def _rename(self, ref: Ref, name: str) -> Flow[ModelView]:
        found = yield from self.get_flow(ref)
        body = ChangeModel(name=name)

        def make(path: str) -> Call[ModelView]:
            return Call("PUT", path, ModelView.model_validate_json, body=body, seconds=_MLFLOW_SECONDS)

        return (yield from self.on_flow(found.model_id, make))

    def _build(self, ref: Ref) -> Flow[Link]:
        found = yield from self.get_flow(ref)

        def make(path: str) -> Call[Link]:
            read = Link.model_validate_json
            return Call("POST", f"{path}/docker/build", read, seconds=_MLFLOW_SECONDS, repeatable=True)

        return (yield from self.on_flow(found.model_id, make))

    def _open(self, found: ModelView) -> Flow[Answer]:
        path = yield from self._place()
        headers = {"Accept": "application/x-tar"}
        place = f"{path}/{found.model_id}/download"
        asked = Call("GET", place, nothing, headers=headers, seconds=_SILENCE_SECONDS, stream=True)
        return (yield from self._session.open(asked))


class Models(Listing[ModelView, RegisterModel], _Described):
    """Trained models of one project; each is named by id or name. `create` registers, `delete` unregisters."""

    def __init__(self, driver: "Driver", place: Place) -> None:
        super().__init__(driver, MODEL, place)

    def rename(self, ref: Ref, name: str) -> ModelView:
        """In MLflow too. Raises Conflict for a name that is taken."""
        return self._driver.run(self._rename(ref, name))

    def build_image(self, ref: Ref) -> Link:
        """Have the archive made of which a container image is built; the link holds for an hour."""
        return self._driver.run(self._build(ref))

    def download(self, ref: Ref, directory: Path) -> Path:
        """Put the files of the model into a new directory. Raises Conflict when it is there and not empty, Unavailable
        when the answer was cut: then nothing is left behind."""
        unpacking.check(directory)
        stream = _stream(self._driver.run(self._open(self.get(ref))))
        with unpacking.scratch(directory) as archive:
            try:
                with archive.open("wb") as file:
                    for chunk in stream.iter_raw():
                        file.write(chunk)
            except httpx.HTTPError:
                raise _cut() from None
            finally:
                stream.close()
            return unpacking.unpack(archive, directory)


class AsyncModels(AsyncListing[ModelView, RegisterModel], _Described):
    """As `Models`."""

    def __init__(self, driver: "AsyncDriver", place: Place) -> None:
        super().__init__(driver, MODEL, place)

    async def rename(self, ref: Ref, name: str) -> ModelView:
        return await self._driver.run(self._rename(ref, name))

    async def build_image(self, ref: Ref) -> Link:
        return await self._driver.run(self._build(ref))

    async def download(self, ref: Ref, directory: Path) -> Path:
        unpacking.check(directory)
        stream = _stream(await self._driver.run(self._open(await self.get(ref))))
        with unpacking.scratch(directory) as archive:
            try:
                with archive.open("wb") as file:  # a local disk
                    async for chunk in stream.aiter_raw():
                        file.write(chunk)
            except httpx.HTTPError:
                raise _cut() from None
            finally:
                await stream.aclose()
            return await asyncio.to_thread(unpacking.unpack, archive, directory)


def _stream(answer: Answer) -> httpx.Response:
    if answer.media_type != "application/x-tar" or answer.stream is None:
        raise GatewayError(f"{answer.url} does not send a model.", next_step="Check MANTIK_API_URL.")
    return answer.stream


def _cut() -> Unavailable:
    return Unavailable("The download was cut.", next_step="Try again.")
