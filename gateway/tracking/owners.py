"""Where runs and logged models lie: asked of MLflow once, since neither ever moves."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from gateway.errors import NotFound
from gateway.tracking.client import TrackingClient, TrackingRefused, TrackingUnavailable
from gateway.tracking.message import PARENT_TAG, Address, Kind

MOST_KEPT = 50_000
MOST_NESTED = 8
"""How deep a child run may lie below the run of a token."""


@dataclass(frozen=True, slots=True)
class Place:
    experiment_id: str
    runs: tuple[str, ...] = ()
    """The run itself or the run of a logged model, then its parents; a run token reaches it by any of them."""


class Owners:
    def __init__(self, client: TrackingClient) -> None:
        self._client = client
        self._kept: OrderedDict[Address, tuple[str, str | None]] = OrderedDict()

    async def place(self, address: Address) -> Place:
        """Raises NotFound with the same words for what is not there and what must not be seen."""
        if address.kind is Kind.EXPERIMENT:
            return Place(address.id)
        experiment_id, above = await self._look_up(address)
        runs = [address.id] if address.kind is Kind.RUN else []
        while above is not None and len(runs) < MOST_NESTED and above not in runs:
            runs.append(above)
            above = await self._parent(above, experiment_id)
        return Place(experiment_id, tuple(runs))

    def forget(self, address: Address) -> None:
        """After a change of its parent tag."""
        self._kept.pop(address, None)

    async def _parent(self, run_id: str, experiment_id: str) -> str | None:
        try:
            where, above = await self._look_up(Address(Kind.RUN, run_id))
        except NotFound:  # a tag may name anything
            return None
        return above if where == experiment_id else None

    async def _look_up(self, address: Address) -> tuple[str, str | None]:
        """Experiment, and the run above: a parent, or the source of a logged model."""
        if (known := self._kept.get(address)) is not None:
            self._kept.move_to_end(address)
            return known
        try:
            found = await (self._run(address.id) if address.kind is Kind.RUN else self._model(address.id))
        except TrackingRefused as error:
            if not error.error_code:  # something on the way said so, and not MLflow
                raise TrackingUnavailable(error.detail) from error
            raise absent(address) from None
        self._kept[address] = found
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    async def _run(self, run_id: str) -> tuple[str, str | None]:
        run = (await self._client.call("GET", "runs/get", query=[("run_id", run_id)]))["run"]
        return run["info"]["experiment_id"], parent_of(run)

    async def _model(self, model_id: str) -> tuple[str, str | None]:
        path = f"logged-models/{model_id}"
        info = (await self._client.call("GET", path, query=[("allow_deleted", "true")]))["model"]["info"]
        return info["experiment_id"], info.get("source_run_id") or None


def parent_of(run: dict[str, Any]) -> str | None:
    tags = run.get("data", {}).get("tags", ())
    return next((tag["value"] for tag in tags if tag["key"] == PARENT_TAG and tag.get("value")), None)


def absent(address: Address) -> NotFound:
    return NotFound(f"{address.kind} {address.id} does not exist, or you may not see it.")
