"""Who may make, change and fire a schedule, and as whom it runs."""

import pytest

from gateway.connections.rows import Connection
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.projects.rows import Project
from gateway.runs.rows import Run
from gateway.schedules import by_hand, preview, saving, service
from gateway.schemas.schedules import FireNow
from tests.gateway.schedules.office import COMMIT, NOON, Office


def doors(office: Office, schedule_id, caller=None):  # type: ignore[no-untyped-def]
    return office.db, office.settings, caller or office.yard.caller, office.yard.project_id, schedule_id


async def test_defaults_are_the_safe_ones(office: Office) -> None:
    made = await office.create("@daily")
    assert (made.overlap_policy, made.misfire_policy, made.grace_seconds, made.max_failures) == ("skip", "skip", 600, 3)
    assert (made.cron_expression, made.in_words, made.time_zone) == ("0 0 * * *", "At 00:00", "UTC")
    assert (made.run_name, made.compute_budget_account, made.site_name) == ("train", "hpc-1", "fake")
    assert (made.state, made.follow_branch, made.consent) == ("ACTIVE", False, None)
    assert (made.user.name, made.run_as.name) == ("owner", "owner")


async def test_a_name_is_unique_in_the_project_and_free_after_a_delete(office: Office) -> None:
    made = await office.create()
    with pytest.raises(Conflict, match="name: this project has a schedule 'hourly' already"):
        await office.create()
    await service.remove(office.db, office.yard.caller, office.yard.project_id, made.schedule_id)
    await office.create()
    with pytest.raises(NotFound):
        await service.show(office.db, office.yard.caller, office.yard.project_id, made.schedule_id)


async def test_a_deleted_schedule_does_not_fire(office: Office) -> None:
    made = await office.create()
    await service.remove(office.db, office.yard.caller, office.yard.project_id, made.schedule_id)
    assert await office.later(hours=1) == 0


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"run_id": "00000000-0000-0000-0000-000000000009"}, "runId: this project has no such run"),
        ({"connection_id": "00000000-0000-0000-0000-000000000009"}, "connectionId: you have no such connection"),
        ({"time_zone": "Mars/Olympus"}, "timeZone: "),
        ({"end_date": "2026-03-01"}, "endDate: 2026-03-01 leaves no time"),
        ({"end_date": "2026-03-02T12:30"}, "endDate: 2026-03-02T12:30 leaves no time"),
        ({"follow_branch": True}, "followBranchConsent: "),
    ],
)
async def test_what_is_refused(office: Office, given: dict[str, object], refused: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await office.create(**given)
    assert caught.value.message.startswith(refused)


async def test_an_account_that_the_site_does_not_bill_is_refused(office: Office) -> None:
    await office.set(Connection, last_check={"site": {"accounts": [{"name": "a"}, {"name": "b"}]}})
    with pytest.raises(InvalidInput, match=r"computeBudgetAccount: 'hpc-1' may not be billed there.*a, b"):
        await office.create()
    made = await office.create(compute_budget_account="b")
    assert made.compute_budget_account == "b"


async def test_a_run_without_a_commit_cannot_be_repeated_yet(office: Office) -> None:
    await office.set(Run, commit=None)
    with pytest.raises(InvalidInput, match="runId: the run has no commit yet"):
        await office.create()


async def test_a_reported_run_cannot_be_repeated(office: Office) -> None:
    await office.set(Run, origin="reported")
    with pytest.raises(InvalidInput, match="executed elsewhere"):
        await office.create()


async def test_another_needs_a_connection_of_their_own(office: Office) -> None:
    caller, _ = await office.colleague("researcher")
    with pytest.raises(InvalidInput, match="connectionId: is required"):
        await office.create(caller=caller)
    with pytest.raises(InvalidInput, match="Another's cannot be used"):
        await office.create(caller=caller, connection_id=office.yard.connection_id)


async def test_a_schedule_of_another_runs_as_they_do(office: Office) -> None:
    caller, connection = await office.colleague("researcher", "theirs")
    await office.create(caller=caller, connection_id=connection)
    await office.later(hours=1)
    (run,) = await office.runs()
    assert (run.run_as, run.created_by, run.connection_id) == (caller.user_id, caller.user_id, connection)


async def test_an_edit_by_somebody_else_takes_their_connection(office: Office) -> None:
    made = await office.create()
    caller, connection = await office.colleague("maintainer", "theirs")
    with pytest.raises(InvalidInput, match="connectionId: is required"):
        await saving.change(*doors(office, made.schedule_id, caller), office.body("30 * * * *"))
    changed = await saving.change(
        *doors(office, made.schedule_id, caller), office.body("30 * * * *", connection_id=connection)
    )
    assert (changed.run_as.name, changed.user.name) == ("maintainer", "owner")
    await office.later(minutes=30)
    (run,) = await office.runs()
    assert (run.run_as, run.connection_id) == (caller.user_id, connection)


async def test_a_researcher_changes_schedules_of_their_own_only(office: Office) -> None:
    made = await office.create()
    caller, connection = await office.colleague("researcher", "theirs")
    body = office.body(connection_id=connection)
    with pytest.raises(Forbidden, match="another's schedule"):
        await saving.change(*doors(office, made.schedule_id, caller), body)
    with pytest.raises(Forbidden, match="another's schedule"):
        await service.pause(office.db, caller, office.yard.project_id, made.schedule_id)
    own = await office.create(caller=caller, connection_id=connection, name="own")
    paused = await service.pause(office.db, caller, office.yard.project_id, own.schedule_id)
    assert (paused.state, paused.reason, paused.message) == ("PAUSED", "BY_USER", "Paused by researcher.")


async def test_only_whose_connection_it_uses_resumes_it(office: Office) -> None:
    made = await office.create()
    caller, _ = await office.colleague("maintainer")
    await service.pause(office.db, caller, office.yard.project_id, made.schedule_id)
    with pytest.raises(Forbidden, match="only its owner resumes it"):
        await service.resume(*doors(office, made.schedule_id, caller))
    assert (await service.resume(*doors(office, made.schedule_id))).state == "ACTIVE"


async def test_times_that_pass_while_it_is_paused_are_not_made_up_for(office: Office) -> None:
    made = await office.create(misfire_policy="run-all")
    await service.pause(office.db, office.yard.caller, office.yard.project_id, made.schedule_id)
    assert await office.later(hours=5, minutes=1) == 0
    resumed = await service.resume(*doors(office, made.schedule_id))
    assert await office.look() == 0
    assert resumed.next_at is not None
    assert resumed.next_at > office.now
    assert await office.history(made.schedule_id) == []


async def test_a_pause_drops_the_firing_that_waits(office: Office) -> None:
    made = await office.create(overlap_policy="queue")
    await office.later(hours=1)
    await office.later(hours=1)
    await service.pause(office.db, office.yard.caller, office.yard.project_id, made.schedule_id)
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 SKIPPED PAUSED"]


async def test_resuming_says_what_stands_against_it(office: Office) -> None:
    made = await office.create()
    await service.pause(office.db, office.yard.caller, office.yard.project_id, made.schedule_id)
    await office.set(Connection, retired_at=NOON)
    with pytest.raises(Conflict, match="Its connection was dropped by owner"):
        await service.resume(*doors(office, made.schedule_id))


async def test_an_edit_changes_the_future_only(office: Office) -> None:
    made = await office.create()
    await office.later(hours=1)
    (run,) = await office.runs()
    await office.end(run.id)
    await saving.change(*doors(office, made.schedule_id), office.body("15 14 * * *", name="renamed"))
    assert [r.name for r in await office.runs()] == ["hourly 2026-03-02 13:00"]
    assert await office.later(hours=1, minutes=15) == 1
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:15 FIRED"]


async def test_an_edit_keeps_the_firing_that_waits(office: Office) -> None:
    made = await office.create(overlap_policy="queue")
    await office.later(hours=1)
    await office.later(hours=1)
    body = office.body("0 23 * * *", overlap_policy="queue")
    await saving.change(*doors(office, made.schedule_id), body)
    await office.end((await office.runs())[0].id)
    assert await office.later(minutes=1) == 1
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 FIRED"]
    assert (await office.schedule(made.schedule_id)).due_at == NOON.replace(hour=23)


async def test_a_later_end_date_makes_it_active_again(office: Office) -> None:
    made = await office.create(end_date="2026-03-02T13:00")
    await office.later(hours=2)
    assert (await office.schedule(made.schedule_id)).state == "ENDED"
    changed = await saving.change(*doors(office, made.schedule_id), office.body(end_date="2026-03-02T15:00"))
    assert changed.state == "ACTIVE"
    (run,) = await office.runs() or [None]
    assert run is None


async def test_following_a_branch_needs_the_sentence_of_its_owner(office: Office) -> None:
    with pytest.raises(InvalidInput) as caught:
        await office.create(follow_branch=True, follow_branch_consent="yes")
    sentence = caught.value.message.partition("this sentence: ")[2]
    assert sentence.startswith("Whoever can push to the branch main of ")
    assert sentence.endswith(" and bills hpc-1.")
    made = await office.create(follow_branch=True, follow_branch_consent=sentence)
    assert made.consent is not None
    assert (made.consent.text, made.consent.by.name, made.consent.at) == (sentence, "owner", NOON)
    await office.later(hours=1)
    (run,) = await office.runs()
    assert (run.branch, run.requested_commit, run.commit) == ("main", None, None)


async def test_consent_is_to_just_that(office: Office) -> None:
    """Another account is another sentence."""
    with pytest.raises(InvalidInput) as caught:
        await office.create(follow_branch=True)
    sentence = caught.value.message.partition("this sentence: ")[2]
    with pytest.raises(InvalidInput, match="bills other"):
        await office.create(follow_branch=True, follow_branch_consent=sentence, compute_budget_account="other")
    made = await office.create(follow_branch=True, follow_branch_consent=sentence)
    await office.set(Run, branch="wild")
    assert await office.later(hours=1) == 0
    schedule = await office.schedule(made.schedule_id)
    assert (schedule.state, schedule.reason) == ("PAUSED", "CONSENT_OUTDATED")


async def test_firing_anothers_schedule_takes_a_connection_of_ones_own(office: Office) -> None:
    made = await office.create()
    caller, connection = await office.colleague("researcher", "theirs")
    with pytest.raises(InvalidInput, match="connectionId: is required"):
        await by_hand.fire_now(*doors(office, made.schedule_id, caller), FireNow(), key=None)
    wish = FireNow(connection_id=connection, compute_budget_account="theirs")
    fired = await by_hand.fire_now(*doors(office, made.schedule_id, caller), wish, key=None)
    (run,) = await office.runs()
    assert (run.id, run.run_as, run.created_by) == (fired.run_id, caller.user_id, caller.user_id)
    assert (run.connection_id, run.compute_budget_account) == (connection, "theirs")
    assert run.requested_commit == COMMIT
    assert fired.made_by is not None
    assert fired.made_by.name == "researcher"


async def test_a_paused_schedule_fires_by_hand(office: Office) -> None:
    made = await office.create(enabled=False)
    assert made.state == "PAUSED"
    fired = await by_hand.fire_now(*doors(office, made.schedule_id), FireNow(), key=None)
    assert (fired.state, fired.kind, fired.run_state) == ("FIRED", "manual", "CREATED")


async def test_the_history_is_paged_newest_first(office: Office) -> None:
    made = await office.create(overlap_policy="allow")
    for _ in range(3):
        await office.later(hours=1)
    where = (office.db, office.yard.caller, office.yard.project_id, made.schedule_id)
    page = await service.firings(*where, None, 2)
    assert [f.nominal_local for f in page.items] == ["2026-03-02T15:00+00:00", "2026-03-02T14:00+00:00"]
    rest = await service.firings(*where, page.next_cursor, 2)
    assert [f.nominal_local for f in rest.items] == ["2026-03-02T13:00+00:00"]
    assert rest.next_cursor is None


async def test_strangers_of_a_public_project_see_no_schedules(office: Office) -> None:
    await office.create()
    caller, _ = await office.colleague("stranger")
    with pytest.raises(NotFound):
        await service.listing(office.db, caller, office.yard.project_id, None, 10)
    await office.set(Project, public=True)
    with pytest.raises(Forbidden, match="for its members"):
        await service.listing(office.db, caller, office.yard.project_id, None, 10)


async def test_a_preview_says_what_the_clocks_do(office: Office) -> None:
    where = (office.db, office.yard.caller, office.yard.project_id)
    shown = await preview.of_expression(*where, "30 2 * * 7", "Europe/Berlin", (None, "2026-04-05"), 10)
    assert [(f.local, f.note is not None) for f in shown.firings] == [
        ("2026-03-08T02:30+01:00", False),
        ("2026-03-15T02:30+01:00", False),
        ("2026-03-22T02:30+01:00", False),
        ("2026-03-29T03:00+02:00", True),
        ("2026-04-05T02:30+02:00", False),
    ]
    assert shown.clock_changes == ["2026-03-29: clocks go forward from 02:00 to 03:00 (2026-03-29 01:00 UTC)."]
    assert shown.ends == "The end date comes before the next time."
    made = await office.create("30 2 * * 7", time_zone="Europe/Berlin")
    again = await preview.of_schedule(*where, made.schedule_id, 4)
    assert again.firings == shown.firings[:4]
