"""Receivers fail, gateways stop, and a message arrives all the same: at least once, and once when nothing fails."""

import asyncio
import time
import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from gateway import clock
from gateway.audit.rows import AuditEntry
from gateway.db.lease import Lease, later
from gateway.db.session import Database
from gateway.schemas.subscriptions import SaveSubscription
from gateway.secrets.rows import Secret
from gateway.subscriptions import sending, service, webhooks
from gateway.subscriptions.message import Message, Receipt
from gateway.subscriptions.messengers import Messengers
from gateway.subscriptions.rows import Delivery, Subscription
from gateway.subscriptions.telling import PREFIX
from tests.gateway.subscriptions.desk import Desk
from tests.gateway.subscriptions.receiver import Receiver, receiving

TRIES = len(sending.PAUSES) + 1


async def test_a_gateway_that_stops_between_event_and_delivery_tells_after_its_restart(desk: Desk) -> None:
    """The engine ends with the run failed and nothing told; a new one finds the mark."""
    made = await desk.subscribe()
    engine = await desk.yard.engine(start=False)
    engine._postman = cast(Any, SimpleNamespace(round=_nothing, sweep=_nothing, held={}))
    await engine.start()
    run_id = await desk.failed_run()
    await desk.yard.kill(engine)
    assert await desk.untold() == ["RUN_FAILED"]
    assert await desk.deliveries() == []
    await desk.yard.age_leases()
    await desk.yard.engine()
    await desk.until(1)
    (request,) = desk.receiver.requests
    assert request.said["runId"] == str(run_id)
    assert made.secret is not None
    request.verify(made.secret, clock.now())


async def _nothing() -> bool:
    return False


async def test_a_gateway_that_is_killed_while_it_sends_sends_again_with_the_same_id(desk: Desk) -> None:
    await desk.subscribe()
    await desk.tell("one")
    desk.receiver.hangs = True
    first = await desk.postman()
    await first.begin()
    await asyncio.to_thread(desk.receiver.reached.wait, 30)
    await first.kill()
    desk.receiver.hangs = False
    desk.receiver.gate.set()
    second = await desk.postman()
    await second.go()
    assert len(desk.receiver.requests) == 1, "the lease of the first holds"
    await desk.yard.age_leases()
    await second.go()
    one, two = desk.receiver.requests
    assert one.headers["webhook-id"] == two.headers["webhook-id"]
    assert one.body == two.body
    assert await desk.states() == ["DELIVERED"]


async def test_an_engine_that_stops_gives_back_what_it_sends(desk: Desk) -> None:
    await desk.subscribe()
    await desk.tell("one")
    desk.receiver.hangs = True
    engine = await desk.yard.engine()
    await asyncio.to_thread(desk.receiver.reached.wait, 30)
    began = time.monotonic()
    await engine.stop()
    assert time.monotonic() - began < webhooks.ANSWER_SECONDS / 2, "it does not wait for the receiver"
    desk.receiver.hangs = False
    await (await desk.postman()).go()
    assert await desk.states() == ["DELIVERED"]


async def test_a_late_answer_of_a_gateway_that_lost_its_lease_changes_nothing(desk: Desk) -> None:
    await desk.subscribe()
    await desk.tell("one")
    desk.receiver.hangs = True
    first, second = await desk.postman(), await desk.postman()
    await first.begin()
    await asyncio.to_thread(desk.receiver.reached.wait, 30)
    await desk.yard.age_leases()
    desk.receiver.hangs, desk.receiver.status = False, 503
    await second.go()
    desk.receiver.status = 500
    desk.receiver.gate.set()
    await first.end()
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.attempts, delivery.status) == ("WAITING", 1, 503)


async def test_two_gateways_tell_each_thing_once(desk: Desk) -> None:
    """Their rounds meet over many events and subscriptions."""
    subscriptions = [await desk.subscribe(f"s{n}") for n in range(6)]
    await asyncio.gather(*[desk.tell(*[f"k{n}" for n in range(10)]) for _ in range(2)])
    postmen = [await desk.postman() for _ in range(2)]
    for _ in range(3):
        await asyncio.gather(*[postman.begin() for postman in postmen])
    for postman in postmen:
        await postman.end()
    assert len(await desk.deliveries()) == len(desk.receiver.requests) == 60
    assert len({said["id"] for said in desk.receiver.said}) == 60
    for made in subscriptions:
        assert made.secret is not None
    assert set(await desk.states()) == {"DELIVERED"}


async def test_two_whole_gateways_tell_a_failed_run_once(desk: Desk) -> None:
    await desk.subscribe()
    if not desk.db.is_sqlite:
        await desk.yard.engine()
    await desk.yard.engine()
    runs = {str(await desk.failed_run()) for _ in range(3)}
    await desk.until(3)
    assert sorted(said["runId"] for said in desk.receiver.said) == sorted(runs)


@pytest.mark.parametrize("status", [500, 503, 429, 404, 400])
async def test_a_receiver_that_refuses_is_tried_again_later(desk: Desk, status: int) -> None:
    await desk.subscribe()
    await desk.tell("one")
    desk.receiver.status, desk.receiver.body = status, b"secret words of the receiver"
    postman = await desk.postman()
    await postman.go()
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.attempts, delivery.status) == ("WAITING", 1, status)
    assert delivery.problem == f"The receiver answered {status}."
    await postman.go()
    assert len(desk.receiver.requests) == 1, "it is not due yet"
    assert await _pause(desk) == pytest.approx(sending.PAUSES[0], abs=3)
    desk.receiver.status = 200
    await desk.pass_time()
    await postman.go()
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.attempts, delivery.status, delivery.problem) == ("DELIVERED", 2, 200, None)
    first, second = desk.receiver.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def _pause(desk: Desk) -> float:
    """Seconds until the next try, and until the lease of the subscription is due: the same."""
    async with desk.db.reading() as session:
        due, now = (await session.execute(select(Delivery.due_at, later(session, 0)))).one()
        looked_at = await session.scalar(select(Lease.due_at).where(Lease.name.startswith(PREFIX)))
    assert due is not None
    assert looked_at is not None
    assert abs((due - looked_at).total_seconds()) < 3
    pause: float = (due - now).total_seconds()
    return pause


async def test_what_nobody_takes_for_a_day_is_given_up_with_its_reason(desk: Desk) -> None:
    await desk.subscribe()
    await desk.tell("one")
    desk.receiver.status = 500
    postman = await desk.postman()
    for tries in range(1, TRIES + 1):
        await postman.go()
        (delivery,) = await desk.deliveries()
        assert delivery.attempts == tries
        await desk.pass_time()
    assert delivery.state == "GIVEN_UP"
    assert delivery.problem == f"The receiver answered 500. Given up after {TRIES} tries."
    assert delivery.done_at is not None
    await desk.pass_time()
    await postman.go()
    assert len(desk.receiver.requests) == TRIES
    assert 23 * 3600 < sum(sending.PAUSES) < 25 * 3600


async def test_a_receiver_that_is_down_is_told_when_it_is_back(desk: Desk) -> None:
    with receiving() as gone:
        await desk.subscribe(url=gone.url)
    port = int(gone.url.split(":")[2].split("/")[0])
    await desk.tell("one")
    postman = await desk.postman()
    await postman.go()
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.status) == ("WAITING", None)
    assert (delivery.problem or "").startswith("The receiver could not be reached: ")
    with receiving(port) as back:
        await desk.pass_time()
        await postman.go()
        assert back.events == ["RUN_FAILED"]
    assert await desk.states() == ["DELIVERED"]


async def test_a_slow_receiver_is_cut_off_and_delays_nobody_else(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as slow:
        slow.hangs = True
        await desk.subscribe("slow", url=slow.url)
        await desk.subscribe("quick")
        await desk.tell("one", "two")
        postman = await desk.postman()
        await postman.begin()
        await asyncio.to_thread(slow.reached.wait, 30)
        await _until_states(desk, ["DELIVERED", "DELIVERED", "WAITING", "WAITING"])
        await postman.kill()
        monkeypatch.setattr(webhooks, "ANSWER_SECONDS", 0.3)
        await desk.yard.age_leases()
        await (await desk.postman()).go()
        waiting = [d for d in await desk.deliveries() if d.state == "WAITING"]
        problem = "The receiver did not answer within 0 s."
        assert sorted((d.problem or "", d.attempts) for d in waiting) == [("", 0), (problem, 1)], "one try at a time"
        assert len(slow.requests) == 2


async def _until_states(desk: Desk, states: list[str]) -> None:
    end = time.monotonic() + 30
    while sorted(found := await desk.states()) != states:
        assert time.monotonic() < end, found
        await asyncio.sleep(0.02)


async def test_a_redirect_is_not_followed(desk: Desk) -> None:
    await desk.subscribe()
    await desk.tell("one")
    desk.receiver.status = 302
    desk.receiver.headers["Location"] = desk.receiver.url + "/elsewhere"
    await (await desk.postman()).go()
    (delivery,) = await desk.deliveries()
    assert delivery.problem == (
        "The receiver answered 302. Redirects are not followed: give the address that it leads to."
    )
    assert len(desk.receiver.requests) == 1


async def test_410_disables_the_subscription(desk: Desk) -> None:
    made = await desk.subscribe()
    await desk.tell("one", "two")
    desk.receiver.status = 410
    postman = await desk.postman()
    await postman.go()
    assert sorted(await desk.states()) == ["DROPPED", "GIVEN_UP"]
    row = await desk.subscription(made.subscription_id)
    said = "The receiver answered 410 (gone), so that it wants no more messages."
    assert (row.enabled, row.stopped) == (False, said)
    assert len(desk.receiver.requests) == 1
    await desk.tell("three")
    assert len(await desk.deliveries()) == 2
    async with desk.db.reading() as session:
        told = await session.scalars(select(AuditEntry).where(AuditEntry.action == "subscription.stop"))
        assert [entry.object_id for entry in told] == [str(made.subscription_id)]


async def test_a_verdict_on_an_old_address_does_not_hold_for_the_new_one(desk: Desk) -> None:
    made = await desk.subscribe()
    await desk.tell("one")
    desk.receiver.hangs, desk.receiver.status = True, 410
    postman = await desk.postman()
    await postman.begin()
    await asyncio.to_thread(desk.receiver.reached.wait, 30)
    with receiving() as new:
        body = SaveSubscription.model_validate({"name": "mine", "kind": "webhook", "url": new.url})
        caller, messengers = desk.yard.caller, desk.context.messengers
        await service.change(desk.db, messengers, caller, caller.user_id, made.subscription_id, body)
        desk.receiver.gate.set()
        await postman.end()
        row = await desk.subscription(made.subscription_id)
        assert (row.enabled, row.stopped) == (True, None)
        (delivery,) = await desk.deliveries()
        assert (delivery.state, delivery.attempts, delivery.status) == ("WAITING", 1, 410)
        await desk.pass_time()
        await postman.go()
        assert new.events == ["RUN_FAILED"]
    assert await desk.states() == ["DELIVERED"]


async def test_what_is_switched_on_again_at_the_last_moment_is_not_dropped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await desk.subscribe()
    await desk.tell("one")
    look = sending._next

    async def look_while_it_is_off(db: Database, subscription_id: uuid.UUID) -> sending._Next:
        monkeypatch.setattr(sending, "_next", look)
        await _switch(desk, made.subscription_id, enabled=False)
        found = await look(db, subscription_id)
        await _switch(desk, made.subscription_id, enabled=True)
        assert found.unwanted is not None
        return found

    monkeypatch.setattr(sending, "_next", look_while_it_is_off)
    postman = await desk.postman()
    await postman.go()
    await postman.go()
    assert await desk.states() == ["DELIVERED"]


async def test_what_waits_is_dropped_when_the_subscription_is_switched_off(desk: Desk) -> None:
    made = await desk.subscribe()
    await desk.tell("one")
    await _switch(desk, made.subscription_id, enabled=False)
    await (await desk.postman()).go()
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.problem) == ("DROPPED", "The subscription was switched off.")
    assert desk.receiver.requests == []


async def _switch(desk: Desk, subscription_id: uuid.UUID, *, enabled: bool) -> None:
    async with desk.db.transaction() as session:
        here = Subscription.id == subscription_id
        await session.execute(update(Subscription).where(here).values(enabled=enabled))


async def test_a_secret_that_cannot_be_read_is_a_problem_of_its_delivery(desk: Desk) -> None:
    await desk.subscribe()
    await desk.tell("one")
    async with desk.db.transaction() as session:
        await session.execute(update(Secret).values(key_id="gone"))
    await (await desk.postman()).go()
    (delivery,) = await desk.deliveries()
    assert delivery.state == "WAITING"
    assert "MANTIK_SECRET_KEYS" in (delivery.problem or "")
    assert desk.receiver.requests == []


class Broken(webhooks.Webhooks):
    async def send(self, url: str, secret: str, message: Message) -> Receipt:
        raise RuntimeError("nobody foresaw this")


async def test_what_nobody_foresaw_is_a_problem_of_its_delivery(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """So that it has its pauses and its end, and the user sees it."""
    made = await desk.subscribe()
    await desk.tell("one")
    postman = await desk.postman()
    postman.postman.parts = replace(postman.postman.parts, messengers=Messengers(Broken()))
    await postman.go()
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.attempts) == ("WAITING", 1)
    assert delivery.problem == "It could not be sent; the operator finds why in the gateway's log."
    assert await _pause(desk) == pytest.approx(sending.PAUSES[0], abs=3)
    assert str(made.subscription_id) in caplog.text
    assert "nobody foresaw this" in caplog.text


async def test_an_operator_who_takes_the_host_away_stops_what_waits(desk: Desk) -> None:
    """The rules are those of the moment in which it is sent."""
    await desk.subscribe()
    await desk.tell("one")
    postman = await desk.postman()
    postman.postman.parts = replace(postman.postman.parts, messengers=Messengers())
    await postman.go()
    (delivery,) = await desk.deliveries()
    assert (delivery.problem or "").startswith("It was not sent: url: only https is taken.")
    assert desk.receiver.requests == []


async def test_deliveries_that_ended_long_ago_are_forgotten(desk: Desk) -> None:
    await desk.subscribe()
    await desk.tell("old", "waits")
    async with desk.db.transaction() as session:
        past = clock.now() - sending.KEPT * 1.01
        await session.execute(update(Delivery).where(Delivery.key == "old").values(done_at=past, due_at=None))
    await (await desk.postman()).postman.sweep()
    assert [d.key for d in await desk.deliveries()] == ["waits"]


async def test_many_events_at_once(desk: Desk) -> None:
    """More rows than one statement takes."""
    await desk.subscribe("a", url=_elsewhere(desk.receiver))
    await desk.subscribe("b")
    await desk.tell(*[f"k{n}" for n in range(700)])
    assert len(await desk.deliveries()) == 1400


def _elsewhere(receiver: Receiver) -> str:
    return f"{receiver.url}/a"
