"""The place of one model in MLflow's registry, brought from wherever it is to where the gateway wants it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from gateway.db.session import Database
from gateway.models.rows import TrainedModel
from gateway.models.words import Status
from gateway.tracking import model_versions
from gateway.tracking.client import TrackingClient
from gateway.tracking.model_versions import Version
from gateway.tracking.names import model_name, split_model


@dataclass(frozen=True, slots=True)
class Shelf:
    """Raises as the client. Each call may be repeated."""

    db: Database
    tracking: TrackingClient

    async def put(
        self, model: TrainedModel, tags: Mapping[str, str], about_to_create: Callable[[], Awaitable[None]]
    ) -> Version:
        """The one version of the model under its name; others that were made for it are taken away."""
        wanted = model_name(model.project_id, model.name)
        found: Sequence[Version] = await model_versions.versions_of(self.tracking, model.id)
        if found and all(version.name != wanted for version in found):
            found = await self._renamed(model, found, wanted)
        here = [version for version in found if version.name == wanted]
        if not here:
            await about_to_create()
            here = [await self._create(model, wanted, tags)]
        kept = next((version for version in here if version.number == model.mlflow_version), here[0])
        await self._remove(version for version in found if version is not kept)
        await model_versions.set_tags(self.tracking, kept, tags)
        return kept

    async def clear(self, model: TrainedModel) -> None:
        """Take every version of the model away, and the registered model when that was the last. The bytes stay."""
        await self.clear_away(model.id)
        # What an earlier try made before its version.
        await self.tidy({model_name(model.project_id, model.name), *([model.mlflow_name] if model.mlflow_name else [])})

    async def clear_away(self, model_id: UUID) -> None:
        """The same for a model that has no row any more."""
        await self._remove(await model_versions.versions_of(self.tracking, model_id))

    async def tidy(self, names: Iterable[str]) -> None:
        """Delete registered models that are empty, but none that a model of the gateway is about to be put into."""
        for name in sorted(set(names)):
            if not await self._wanted(name):
                await model_versions.delete_model_if_empty(self.tracking, name)

    async def _renamed(self, model: TrainedModel, found: Sequence[Version], wanted: str) -> Sequence[Version]:
        """Rename the registered model, which keeps number and aliases, where it holds nothing but this model."""
        old = found[0].name
        own = {version.number for version in found if version.name == old}
        if await model_versions.numbers_of(self.tracking, old) != own:
            return found
        if not await model_versions.rename_model(self.tracking, old, wanted):
            return found
        return await model_versions.versions_of(self.tracking, model.id)

    async def _create(self, model: TrainedModel, wanted: str, tags: Mapping[str, str]) -> Version:
        await model_versions.ensure_model(self.tracking, wanted, model.project_id)
        return await model_versions.create_version(
            self.tracking,
            wanted,
            str(model.source),
            tags,
            mlflow_run_id=model.mlflow_run_id,
            logged_model_id=model.logged_model_id,
        )

    async def _remove(self, versions: Iterable[Version]) -> None:
        names = set()
        for version in versions:
            await model_versions.delete_version(self.tracking, version)
            names.add(version.name)
        await self.tidy(names)

    async def _wanted(self, name: str) -> bool:
        project_id, bare = split_model(name)
        query = select(TrainedModel.id).where(
            TrainedModel.project_id == project_id,
            TrainedModel.name == bare,
            TrainedModel.source.is_not(None),
            TrainedModel.status != Status.UNREGISTERING,
        )
        async with self.db.reading() as session:
            return await session.scalar(query.limit(1)) is not None
