"""Subscriptions by the client, against the gateway's own application."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.client import Client
from gateway.context import Context
from gateway.errors import NotFound
from gateway.git_hosts import GitHosts
from gateway.schemas.subscriptions import SaveSubscription
from gateway.subscriptions.messengers import Messengers
from gateway.subscriptions.webhooks import Webhooks
from tests.gateway.client.subscription_wire import SUBSCRIPTION
from tests.gateway.client.test_real_gateway import Open, bearer, open_client
from tests.gateway.client.wire import Wire
from tests.gateway.world import World

__all__ = ["open_client"]

URL = "https://hooks.invalid/a"


@pytest.fixture
def context(context: Context) -> Context:
    """No name is known, so that nothing is sent."""

    async def nobody(_: str) -> Sequence[str]:
        raise OSError("Name or service not known")

    return replace(context, messengers=Messengers(Webhooks(GitHosts(look_up=nobody))))


async def test_a_subscription(open_client: Open, world: World) -> None:
    client = open_client(token=bearer((await world.person("ada")).headers))
    body = SaveSubscription(name="hook", kind="webhook", url=URL, events=["RUN_LOST"])
    made = await client.subscriptions.create(body)
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    assert [s.name async for s in client.subscriptions.list()] == ["hook"]
    changed = await client.subscriptions.replace("hook", body.model_copy(update={"events": ["RUN_FAILED"]}))
    assert changed.events == ["RUN_FAILED"]
    tested = await client.subscriptions.test("hook")
    assert (tested.delivered, tested.status) == (False, None)
    assert tested.problem == "The receiver could not be reached: Name or service not known."
    assert [d async for d in client.subscriptions.deliveries("hook")] == []
    await client.subscriptions.delete("hook")
    with pytest.raises(NotFound):
        await client.subscriptions.get(made.subscription_id)


def test_without_asyncio(client: Client, wire: Wire) -> None:
    wire.tested = {"delivered": True, "status": 200, "problem": None, "answer": ""}
    body = SaveSubscription(name="hook", kind="webhook", url=URL)
    assert client.subscriptions.create(body).secret == "whsec_c2VjcmV0"
    assert client.subscriptions.get("hook").enabled
    assert client.subscriptions.replace(SUBSCRIPTION, body).url == URL
    assert client.subscriptions.test("hook").delivered
    assert [d.status for d in client.subscriptions.deliveries("hook")] == [500]
