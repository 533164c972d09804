"""Rules over HTTP: what is taken and what is refused, and the preview."""

import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from gateway.retention.rows import RetentionRules
from gateway.schemas.retention import RetentionDays
from tests.gateway.retention.archive import Archive
from tests.gateway.world import World

NEVER = {"logDays": None, "siteDirectoryDays": None, "runDays": None}
SENTENCE = "must be a whole number of days from 1 to 36500; null, or left out, keeps it for ever."


async def test_by_default_all_is_kept_for_ever_and_a_change_is_audited(api: httpx.AsyncClient, world: World) -> None:
    place, owner = await world.place(), await world.person("maintainer")
    path = f"/projects/{place.ids['projectId']}/retention"
    first = (await api.get(path, headers=owner.headers)).json()
    assert first == {**NEVER, "changedAt": None, "changedBy": None}
    made = await api.put(path, json={"logDays": 90, "runDays": 36500}, headers=owner.headers)
    assert made.status_code == 200
    assert {name: made.json()[name] for name in NEVER} == {"logDays": 90, "siteDirectoryDays": None, "runDays": 36500}
    assert made.json()["changedBy"]["name"] == "maintainer"
    assert (await api.get(path, headers=owner.headers)).json() == made.json()
    again = await api.put(path, json={"logDays": 90, "runDays": 36500}, headers=owner.headers)
    assert again.json() == made.json()
    (entry,) = [entry for entry in await world.audit() if entry.action == "retention.change"]
    assert (entry.actor_id, entry.object_type, entry.object_id) == (owner.id, "project", place.ids["projectId"])
    names = ("log_days", "site_directory_days", "run_days")
    assert [entry.details[name] for name in names] == [90, None, 36500]
    assert [entry.details[f"{name}_before"] for name in names] == [None, None, None]
    back = await api.put(path, json=NEVER, headers=owner.headers)
    assert {name: back.json()[name] for name in NEVER} == NEVER


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("field", NEVER)
@pytest.mark.parametrize("value", [0, -1, 36501, 10**30, "30", 1.5, 30.0, True, [], {}])
async def test_days_that_are_none_are_refused_by_one_sentence_that_names_the_field(
    api: httpx.AsyncClient, world: World, field: str, value: Any
) -> None:
    place, owner = await world.place(), await world.person("owner")
    path = f"/projects/{place.ids['projectId']}/retention"
    for method, end in (("PUT", ""), ("POST", "/preview")):
        answer = await api.request(method, path + end, json={field: value}, headers=owner.headers)
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"field": field, "message": SENTENCE}]
    async with world.context.db.reading() as session:
        assert (await session.scalars(select(RetentionRules))).all() == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_field_that_is_not_known_is_refused(api: httpx.AsyncClient, world: World) -> None:
    place, owner = await world.place(), await world.person("owner")
    path = f"/projects/{place.ids['projectId']}/retention"
    answer = await api.put(path, json={"logsDays": 3}, headers=owner.headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "logsDays")


async def test_a_project_with_rules_can_be_deleted(api: httpx.AsyncClient, world: World) -> None:
    place, owner = await world.place(), await world.person("owner")
    path = f"/projects/{place.ids['projectId']}"
    await api.put(f"{path}/retention", json={"logDays": 3}, headers=owner.headers)
    assert (await api.delete(path, headers=owner.headers)).status_code == 204


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_strangers_of_a_public_project_see_the_rules_and_no_names(api: httpx.AsyncClient, world: World) -> None:
    place, stranger = await world.place(public=True), await world.person("stranger")
    path = f"/projects/{place.ids['projectId']}/retention"
    await api.put(path, json={"logDays": 3}, headers=(await world.person("owner")).headers)
    seen = await api.get(path, headers=stranger.headers)
    assert (seen.json()["logDays"], seen.json()["changedBy"]) == (3, None)
    assert (await api.post(f"{path}/preview", headers=stranger.headers)).status_code == 403


async def test_the_preview_shows_what_would_go_and_removes_nothing(archive: Archive) -> None:
    log = await archive.run(10, log=b"0123456789")
    directory = await archive.run(20, directory=True)
    run = await archive.run(40, log=b"01234", directory=True)
    bare = await archive.run(50, origin="reported", connection_id=None, site_id=None)
    shown = await archive.preview(log_days=5, site_directory_days=15, run_days=30)
    parts = {item.run_id: (item.run, item.log, item.site_directory, item.log_bytes) for item in shown.items}
    assert parts == {
        log: (False, True, False, 10),
        directory: (False, False, True, None),
        run: (True, True, True, 5),
        bare: (True, False, False, None),
    }
    totals = shown.totals
    assert (totals.runs, totals.logs, totals.site_directories, totals.log_bytes, totals.stay) == (2, 2, 2, 15, 0)
    assert shown.rules == RetentionDays(log_days=5, site_directory_days=15, run_days=30)
    await archive.sweep()
    for run_id in parts:
        await archive.untouched(run_id)
    assert (await archive.preview()).items == [], "the saved rules keep all"


async def test_the_preview_says_what_the_pass_then_does(archive: Archive) -> None:
    """For each combination of rules: what is shown for a run is what goes."""
    ages = (5, 15, 25)
    rules: list[dict[str, int | None]] = [
        {"log_days": a, "site_directory_days": b, "run_days": c}
        for a in (None, 10)
        for b in (None, 10, 20)
        for c in (None, 20)
    ]
    for days in rules:
        made = [await archive.run(age, log=b"0123", directory=True) for age in ages]
        await archive.rules(**days)
        shown = {item.run_id: item for item in (await archive.preview()).items}
        await archive.sweep()
        for run_id in made:
            item, run = shown.get(run_id), await archive.yard.run(run_id)
            assert (run.delete_requested_at is not None) is (item is not None and item.run)
            gone = await archive.removals(run_id)
            if run.delete_requested_at is None:
                assert ("log" in gone) is (item is not None and item.log)
                assert ("directory" in gone) is (item is not None and item.site_directory)
            else:
                assert run.delete_site_directory is (item is not None and item.site_directory)
        for run_id in made:
            await archive.change(run_id, ended_at=None)


async def test_the_preview_comes_in_pages_with_the_totals_of_all(archive: Archive) -> None:
    made = {await archive.run(30 + n, log=b"01") for n in range(5)}
    found: list[uuid.UUID] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = await archive.preview(limit=2, cursor=cursor, log_days=10)
        found += [item.run_id for item in page.items]
        assert (page.totals.logs, page.totals.log_bytes) == (5, 10)
        cursor, pages = page.next_cursor, pages + 1
    assert (pages, len(found), set(found)) == (3, 5, made)
