"""Keeps MLflow's registry in step with the models of the gateway: the row is the intent, written first.

A pass may be repeated, raced and broken off anywhere. `model-versions/create` is not idempotent: versions carry our id
and are searched before one is made, and once more when an answer that was lost can no longer come.
"""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial

from gateway.db.session import Database
from gateway.errors import GatewayError
from gateway.models import passes
from gateway.models.lineage import tags_of
from gateway.models.passes import Pass, Superseded
from gateway.models.shelf import Shelf
from gateway.models.words import Status
from gateway.tracking.client import TrackingClient, TrackingRefused

log = logging.getLogger(__name__)
AT_ONCE = 4


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
        """A pass; what fails is stored and, unless MLflow refuses for good, tried again."""
        try:
            await self._bring(one)
        except Superseded:
            log.info("model %s is brought into step by another pass", one.model_id)
        except TrackingRefused as error:
            await self._refused(one, error)
        except GatewayError as error:
            await passes.put_off(self.db, one, error.message)

    async def _bring(self, one: Pass) -> None:
        model, origin = await passes.load(self.db, one)
        shelf = Shelf(self.db, self.tracking)
        if model.status == Status.UNREGISTERING:
            await shelf.clear(model)
            await passes.unregistered(self.db, one)
            return
        kept = await shelf.put(model, tags_of(model, origin), partial(passes.about_to_create, self.db, one))
        sure, again = model.uncertain_until is None, origin is not None and origin.incomplete
        await passes.registered(self.db, one, kept.name, kept.number, sure=sure, again=again)

    async def _refused(self, one: Pass, error: TrackingRefused) -> None:
        try:
            model, _ = await passes.load(self.db, one)
        except Superseded:
            return
        # Somebody took the registered model away while the version was made: the next pass makes both.
        gone = error.error_code == "RESOURCE_DOES_NOT_EXIST"
        if gone or model.status == Status.UNREGISTERING:
            await passes.put_off(self.db, one, error.message)
        else:
            await passes.failed(self.db, one, f"MLflow refused it: {error.message}")
