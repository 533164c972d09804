"""Keeps MLflow's registry in step with the models of the gateway: the row is the intent, written first.

A pass may be repeated, raced and broken off anywhere. `model-versions/create` is not idempotent: versions carry our id
and are searched before one is made, and once more when an answer that was lost can no longer come.
"""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial

from gateway import clock
from gateway.db.session import Database
from gateway.errors import GatewayError
from gateway.models import passes
from gateway.models.lineage import Origin, tags_of
from gateway.models.passes import Pass, Superseded
from gateway.models.shelf import Shelf
from gateway.models.words import Status
from gateway.tracking.client import TrackingClient, TrackingRefused

log = logging.getLogger(__name__)
AT_ONCE = 4
LEAST_COST_SECONDS, MOST_COST_SECONDS = 15.0, 3600.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """For the engine's rounds, and for whoever has just written an intent."""

    db: Database
    tracking: TrackingClient

    async def turn(self) -> bool:
        """One round over what is due, by any number of gateways at once; whether there was something."""
        due = await passes.claim(self.db, AT_ONCE)
        await asyncio.gather(*(self.attempt(one) for one in due))
        return bool(due)

    async def attempt(self, one: Pass) -> None:
        """A pass; what fails is stored and, unless MLflow takes nothing like it, tried again."""
        try:
            await self._bring(one)
        except Superseded:
            log.info("model %s is brought into step by another pass", one.model_id)
        except TrackingRefused as error:
            await self._refused(one, error)
        except GatewayError as error:
            await passes.put_off(self.db, one, error.message)
        except Exception:
            log.exception("the pass over model %s failed", one.model_id)
            await passes.put_off(self.db, one, "The gateway failed at MLflow's registry; its log has the details.")

    async def _bring(self, one: Pass) -> None:
        model, origin = await passes.load(self.db, one)
        shelf = Shelf(self.db, self.tracking)
        if model.status == Status.UNREGISTERING:
            await shelf.clear(model)
            await passes.unregistered(self.db, one)
            return
        kept = await shelf.put(model, tags_of(model, origin), partial(passes.about_to_create, self.db, one))
        sure, again = model.uncertain_until is None, cost_pause(origin)
        await passes.registered(self.db, one, kept.name, kept.number, sure=sure, again=again)

    async def _refused(self, one: Pass, error: TrackingRefused) -> None:
        try:
            model, _ = await passes.load(self.db, one)
        except Superseded:
            return
        # What MLflow had once was right: then the registry, its address or a proxy before it is wrong, and may be put
        # right. So may all else, such as a registered model that somebody took away while its version was made.
        first = model.mlflow_version is None and model.status != Status.UNREGISTERING
        if first and error.error_code == "INVALID_PARAMETER_VALUE":
            await passes.failed(self.db, one, f"MLflow refused it: {error.message}")
        else:
            await passes.put_off(self.db, one, f"MLflow refused it and is asked again: {error.message}")


def cost_pause(origin: Origin | None) -> float | None:
    """Seconds until a run whose cost is not complete is looked at again, ever longer; None when it is complete."""
    if origin is None or not origin.incomplete:
        return None
    ended = origin.run.ended_at
    age = (clock.now() - ended).total_seconds() if ended is not None else 0.0
    return min(MOST_COST_SECONDS, max(LEAST_COST_SECONDS, age / 10))
