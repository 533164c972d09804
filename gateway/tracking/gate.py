"""Whether a caller may touch what a request names."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.audit import service as audit
from gateway.db.session import Database
from gateway.errors import Forbidden, InvalidInput, NotFound
from gateway.repositories import experiments
from gateway.tracking import standing
from gateway.tracking.client import TrackingClient
from gateway.tracking.message import Address, Kind
from gateway.tracking.own import ensure_for_job
from gateway.tracking.owners import Owners, Place, absent
from gateway.tracking.routes import Route
from gateway.tracking.scopes import Reach
from gateway.tracking.standing import OwnRun
from gateway.users.caller import Caller


class Gate:
    """Asks MLflow where things lie first, then the database whose that is: no network call inside a transaction."""

    def __init__(self, database: Database, client: TrackingClient, owners: Owners) -> None:
        self.database = database
        self.client = client
        self.owners = owners

    async def admit(
        self, caller: Caller, route: Route, addresses: Iterable[Address], *, within: UUID | None = None
    ) -> bool:
        """Whether only what is public may be shown.

        Raises NotFound for what the caller may not see, Forbidden for what the role does not allow or what is not of
        the project `within`, InvalidInput when nothing is named.
        """
        named = list(addresses)
        if not named:
            raise InvalidInput("The request must name the run, experiment or logged model it is about.")
        places = {address: await self.owners.place(address) for address in named}
        if caller.run_id is not None:
            await self._admit_run(caller, route, places)
            return False
        return await self._admit_user(caller, route, places, within)

    async def admit_project(self, caller: Caller, route: Route, project_id: UUID, what: str, missing: NotFound) -> bool:
        """As `admit`, for something whose project is known by its name; `missing` is raised if it may not be seen."""
        async with self.database.transaction() if _audited(route) else self.database.reading() as session:
            hidden = await self._require(session, caller, route, project_id, missing)
            _record(session, caller, route, [what])
            return hidden

    async def own_run(self, caller: Caller) -> OwnRun:
        """The run behind a run token; its experiment is made in MLflow, should that have been late."""
        async with self.database.reading() as session:
            own = await standing.own_run(session, caller)
        if own.experiment_id:
            return own
        made = await experiments.complete(self.database, self.client, own.experiment_repository_id)
        return replace(own, experiment_id=made)

    async def mlflow_run(self, caller: Caller) -> str:
        """MLflow's id of the run behind a run token; the run is made in MLflow if it is not there yet."""
        own = await self.own_run(caller)
        return own.mlflow_run_id or await ensure_for_job(self.database, self.client, own.run_id)

    async def _admit_user(
        self, caller: Caller, route: Route, places: dict[Address, Place], within: UUID | None
    ) -> bool:
        hidden = False
        async with self.database.transaction() if _audited(route) else self.database.reading() as session:
            projects = await standing.projects_of(session, {place.experiment_id for place in places.values()})
            for address, place in places.items():
                missing = absent(address)
                if place.experiment_id not in projects:
                    raise missing
                project_id = projects[place.experiment_id]
                hidden |= await self._require(session, caller, route, project_id, missing)
                if within not in (None, project_id):
                    raise Forbidden(f"{address.kind} {address.id} is of another project than the model.")
            _record(session, caller, route, [address.id for address in places])
        return hidden

    async def _require(
        self, session: AsyncSession, caller: Caller, route: Route, project_id: UUID, missing: NotFound
    ) -> bool:
        try:
            return await standing.require(session, caller, project_id, route.least)
        except NotFound:
            raise missing from None  # other words would tell that it exists

    async def _admit_run(self, caller: Caller, route: Route, places: dict[Address, Place]) -> None:
        own = await self.own_run(caller)
        for address, place in places.items():
            if reaches(own, place, address.kind, route):
                continue
            self.owners.forget(address)  # it may have become a child since
            if not reaches(own, await self.owners.place(address), address.kind, route):
                raise Forbidden(f"{address.kind} {address.id} is not of this run: its token reaches only its own.")


def reaches(own: OwnRun, place: Place, kind: Kind, route: Route) -> bool:
    if place.experiment_id != own.experiment_id:
        return False
    if kind is Kind.EXPERIMENT:
        return route.run_token is Reach.EXPERIMENT
    return own.mlflow_run_id is not None and own.mlflow_run_id in place.runs


def _audited(route: Route) -> bool:
    """What cannot be undone by the next metric: deletions, and what else needs a maintainer."""
    return route.least == "maintainer"


def _record(session: AsyncSession, caller: Caller, route: Route, ids: list[str]) -> None:
    if _audited(route):
        audit.record(session, caller, f"tracking {route.method} {route.path}", "mlflow", " ".join(ids))
