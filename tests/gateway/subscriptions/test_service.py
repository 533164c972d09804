"""What a user may set up, through the API: rules, secrets shown once, tests, deliveries; and nobody else's."""

from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from gateway import clock
from gateway.api.routers.subscriptions import TESTS_PER_MINUTE
from gateway.db.lease import Lease
from gateway.secrets.rows import Secret
from gateway.subscriptions.rows import Delivery, Subscription
from gateway.subscriptions.service import MOST
from gateway.subscriptions.telling import PREFIX
from tests.gateway.subscriptions.desk import Desk
from tests.gateway.subscriptions.receiver import Receiver
from tests.gateway.world import Person, Place, World

URL = "https://hooks.example.org/a"
ALL = ["RUN_FAILED", "RUN_LOST", "NEEDS_LOGIN", "SCHEDULE_PAUSED", "BUDGET_GUARD", "CREDENTIAL_ENDING"]


class Settings:
    """The settings of one person."""

    def __init__(self, api: httpx.AsyncClient, person: Person) -> None:
        self.api, self.person = api, person
        self.path = f"/users/{person.id}/settings/subscriptions"

    async def ask(self, method: str, end: str = "", body: Any = None, status: int = 200) -> Any:
        answer = await self.api.request(method, self.path + end, json=body, headers=self.person.headers)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def refusal(self, body: Any, status: int = 422) -> str:
        return str((await self.ask("POST", body=body, status=status))["detail"])


def of_yard(api: httpx.AsyncClient, desk: Desk) -> Settings:
    """Of the user who has the runs."""
    caller = desk.yard.caller
    headers = {"Authorization": f"Bearer {desk.context.access.issue(caller.user_id)[0]}"}
    return Settings(api, Person(caller.user_id, caller.name, headers))


@pytest.fixture
async def mine(api: httpx.AsyncClient, place: Place, world: World) -> Settings:
    return Settings(api, await world.person("guest"))


@pytest.fixture
async def place(world: World) -> Place:
    return await world.place()


def hook(url: str, **more: Any) -> dict[str, Any]:
    return {"name": "hook", "kind": "webhook", "url": url, **more}


async def test_a_subscription_from_its_making_to_its_end(
    mine: Settings, receiver: Receiver, world: World, place: Place
) -> None:
    made = await mine.ask("POST", body=hook(receiver.url), status=201)
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert (made["name"], made["kind"], made["url"], made["address"]) == ("hook", "webhook", receiver.url, None)
    assert (made["events"], made["enabled"], made["projectId"], made["stopped"]) == (ALL, True, None, None)
    end = f"/{made['subscriptionId']}"
    assert await mine.ask("GET", end) == made, "the secret is never shown again"
    assert (await mine.ask("GET"))["items"] == [made]
    project = place.ids["projectId"]
    changed = await mine.ask("PUT", end, hook(receiver.url, name="new", events=["RUN_LOST"], projectId=project))
    assert (changed["name"], changed["events"], changed["projectId"]) == ("new", ["RUN_LOST"], project)
    assert changed["projectName"].startswith("project-")
    tested = await mine.ask("POST", f"{end}/test")
    assert tested == {"delivered": True, "status": 204, "problem": None, "answer": ""}
    receiver.requests[0].verify(secret, clock.now())
    assert receiver.events == ["TEST"]
    assert (await mine.ask("GET", f"{end}/deliveries"))["items"] == []
    await mine.ask("DELETE", end, status=204)
    await mine.ask("GET", end, status=404)
    for table in (Subscription, Secret):
        async with world.context.db.reading() as session:
            assert await session.scalar(select(func.count()).select_from(table)) == 0
    told = [entry for entry in await world.audit() if entry.object_type == "subscription"]
    assert [entry.action for entry in told] == [
        f"subscription.{deed}" for deed in ("create", "change", "test", "delete")
    ]
    assert not [entry for entry in told if secret in str(entry.details) or "http" in str(entry.details)]


async def test_a_secret_is_sealed_in_the_database(mine: Settings, receiver: Receiver, world: World) -> None:
    made = await mine.ask("POST", body=hook(receiver.url), status=201)
    async with world.context.db.reading() as session:
        (kept,) = await session.scalars(select(Secret))
        (row,) = await session.scalars(select(Subscription))
    assert made["secret"].encode() not in kept.ciphertext
    assert made["secret"] not in str(vars(row))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"kind": "webhook"}, "url: a subscription of kind webhook takes this, and nothing else."),
        ({"kind": "webhook", "url": URL, "address": "a@b.c"}, "url: a subscription of kind webhook"),
        ({"kind": "mail", "url": URL}, "address: a subscription of kind mail takes this"),
        ({"kind": "mail", "address": "a@b.c"}, "kind: This gateway sends no mail"),
        ({"kind": "pigeon"}, "kind: "),
        ({"kind": "webhook", "url": "http://hooks.example.org/a"}, "url: only https is taken."),
        ({"kind": "webhook", "url": URL}, "url: the gateway tells these hosts only: 127.0.0.1."),
        ({"kind": "webhook", "url": URL, "events": []}, "events: "),
        ({"kind": "webhook", "url": URL, "events": ["TEST"]}, "events"),
        ({"kind": "webhook", "url": URL, "events": ["BUDGET"]}, "events"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_refused(mine: Settings, body: dict[str, Any], words: str) -> None:
    assert words in await mine.refusal({"name": "n", **body})


async def test_the_end_of_a_credential_is_no_matter_of_a_project(
    mine: Settings, receiver: Receiver, place: Place
) -> None:
    project = {"projectId": place.ids["projectId"]}
    asked = hook(receiver.url, **project, events=["RUN_FAILED", "CREDENTIAL_ENDING"])
    assert "events: CREDENTIAL_ENDING is about your own connections only." in await mine.refusal(asked)
    made = await mine.ask("POST", body=hook(receiver.url, **project), status=201)
    assert made["events"] == ALL[:-1]


async def test_a_project_is_for_its_members(
    api: httpx.AsyncClient, receiver: Receiver, world: World, place: Place
) -> None:
    stranger = Settings(api, await world.person("stranger"))
    body = hook(receiver.url, projectId=place.ids["projectId"])
    await stranger.refusal(body, 404)
    public = await world.place(public=True)
    words = await stranger.refusal(hook(receiver.url, projectId=public.ids["projectId"]), 403)
    assert "only members of a project are told of it" in words


async def test_names_are_unique_and_few(mine: Settings, receiver: Receiver) -> None:
    first = await mine.ask("POST", body=hook(receiver.url), status=201)
    assert "name: you have a subscription 'hook' already" in await mine.refusal(hook(receiver.url), 409)
    for n in range(MOST - 1):
        await mine.ask("POST", body=hook(receiver.url, name=f"n{n}"), status=201)
    assert f"You have {MOST} subscriptions, which is the most." in await mine.refusal(
        hook(receiver.url, name="one more"), 409
    )
    await mine.ask("PUT", f"/{first['subscriptionId']}", hook(receiver.url, name="n1"), status=409)


async def test_a_kind_stays(mine: Settings, receiver: Receiver) -> None:
    made = await mine.ask("POST", body=hook(receiver.url), status=201)
    body = {"name": "hook", "kind": "mail", "address": "a@b.c"}
    answer = await mine.ask("PUT", f"/{made['subscriptionId']}", body, status=422)
    assert answer["detail"].startswith("kind: ")


async def test_what_came_back_for_a_test(mine: Settings, receiver: Receiver) -> None:
    end = f"/{(await mine.ask('POST', body=hook(receiver.url, enabled=False), status=201))['subscriptionId']}"
    receiver.status, receiver.body = 401, b"who are you?"
    assert await mine.ask("POST", f"{end}/test") == {
        "delivered": False,
        "status": 401,
        "problem": "The receiver answered 401.",
        "answer": "who are you?",
    }
    for _ in range(TESTS_PER_MINUTE - 1):
        await mine.ask("POST", f"{end}/test")
    await mine.ask("POST", f"{end}/test", status=429)
    assert len(receiver.requests) == TESTS_PER_MINUTE


async def test_deliveries_are_shown_with_their_results(desk: Desk, api: httpx.AsyncClient) -> None:
    made = await desk.subscribe()
    mine = of_yard(api, desk)
    desk.receiver.status = 500
    await desk.tell("one", reason="EXIT_CODE", run_id=desk.yard.project_id)
    await (await desk.postman()).go()
    await desk.tell("two")
    page = await mine.ask("GET", f"/{made.subscription_id}/deliveries?limit=1")
    assert (page["items"][0]["state"], page["items"][0]["attempts"]) == ("WAITING", 0)
    rest = await mine.ask("GET", f"/{made.subscription_id}/deliveries?limit=1&cursor={page['nextCursor']}")
    (told,) = rest["items"]
    assert (told["event"], told["reason"], told["runId"]) == ("RUN_FAILED", "EXIT_CODE", str(desk.yard.project_id))
    assert (told["status"], told["problem"]) == (500, "The receiver answered 500.")
    assert told["dueAt"] is not None
    assert told["doneAt"] is None


async def test_removing_takes_what_waits_with_it(desk: Desk, api: httpx.AsyncClient) -> None:
    made = await desk.subscribe()
    await desk.tell("one")
    await of_yard(api, desk).ask("DELETE", f"/{made.subscription_id}", status=204)
    await (await desk.postman()).go()
    assert desk.receiver.requests == []
    async with desk.db.reading() as session:
        assert list(await session.scalars(select(Delivery))) == []
        assert list(await session.scalars(select(Lease).where(Lease.name.startswith(PREFIX)))) == []


async def test_an_answer_of_410_is_cleared_by_an_edit(desk: Desk, api: httpx.AsyncClient) -> None:
    made = await desk.subscribe()
    await desk.tell("one")
    desk.receiver.status = 410
    await (await desk.postman()).go()
    mine = of_yard(api, desk)
    shown = await mine.ask("GET", f"/{made.subscription_id}")
    assert (shown["enabled"], "410" in shown["stopped"]) == (False, True)
    again = await mine.ask("PUT", f"/{made.subscription_id}", hook(desk.receiver.url))
    assert (again["enabled"], again["stopped"]) == (True, None)
    desk.receiver.status = 200
    await desk.tell("two")
    await (await desk.postman()).go()
    assert [said["event"] for said in desk.receiver.said] == ["RUN_FAILED"] * 2


async def test_a_project_that_is_deleted_takes_no_settings_with_it(
    api: httpx.AsyncClient, receiver: Receiver, world: World, place: Place
) -> None:
    owner = Settings(api, await world.person("owner"))
    project = place.ids["projectId"]
    made = await owner.ask("POST", body=hook(receiver.url, projectId=project), status=201)
    gone = await api.delete(f"/projects/{project}", headers=owner.person.headers)
    assert gone.status_code == 204, gone.text
    shown = await owner.ask("GET", f"/{made['subscriptionId']}")
    assert (shown["projectId"], shown["projectName"]) == (project, None)
