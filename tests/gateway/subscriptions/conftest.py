"""Engines over the fake site, whose messages go to a receiver on loopback, which the operator allows."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.context import Context
from gateway.engine import engine as engine_module
from gateway.git_hosts import GitHosts
from gateway.subscriptions.messengers import Messengers
from gateway.subscriptions.webhooks import SETTING, Webhooks
from tests.gateway.engine.conftest import git_store, project, settings, yard
from tests.gateway.engine.yard import Yard
from tests.gateway.schedules.conftest import office
from tests.gateway.subscriptions.desk import Desk
from tests.gateway.subscriptions.receiver import Receiver, receiving

__all__ = ["git_store", "office", "project", "settings", "yard"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def context(context: Context, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(engine_module, "ROUND_SECONDS", 0.02)
    return replace(context, messengers=Messengers(Webhooks(GitHosts(("127.0.0.1",), setting=SETTING))))


@pytest.fixture
def desk(yard: Yard, receiver: Receiver) -> Desk:
    return Desk(yard, receiver)
