"""`mantik projects retention` and the client: what is sent, and what is printed where."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from gateway import clock
from gateway.client import Client
from gateway.errors import Forbidden, InvalidInput, NotFound
from gateway.retention.rows import Removal
from gateway.runs.rows import Run
from gateway.schemas.retention import SetRetention
from tests.gateway.cli.conftest import Mantik, mantik
from tests.gateway.client.conftest import client, server, wire
from tests.gateway.client.retention_wire import NOTHING, item_view
from tests.gateway.client.test_real_gateway import Open, bearer, open_client
from tests.gateway.client.wire import RUN, Wire, identifier
from tests.gateway.world import World

__all__ = ["client", "mantik", "open_client", "server", "wire"]

SET = ("projects", "retention", "set")
PREVIEW = ("projects", "retention", "preview")
GOES = {"runs": 1, "logs": 3, "siteDirectories": 2, "logBytes": 5 << 20, "stay": 2}
TOLD = (
    "Would go now: 1 run, 3 logs (5.0 MiB), 2 directories on their sites. What goes does not come back.\n"
    "2 runs are still needed and would stay.\n"
)


def test_show(mantik: Mantik, wire: Wire) -> None:
    wire.retention.rules |= {"logDays": 90, "siteDirectoryDays": 1}
    assert mantik("projects", "retention", "show").out == (
        "Logs:             removed 90 days after the end of the run\n"
        "Site directories: removed 1 day after the end of the run\n"
        "Runs:             kept for ever\n"
        "Changed:          2026-01-02 03:04:05 UTC\n"
        "Changed by:       ada\n"
    )


def test_a_shorter_rule_shows_what_goes_and_wants_yes(mantik: Mantik, wire: Wire) -> None:
    wire.retention.rules |= {"logDays": 90, "runDays": 400}
    wire.retention.totals = GOES
    done = mantik(*SET, "--logs", "30")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(TOLD + "Error: Nothing was changed. Add --yes to remove that")
    wanted = {"logDays": 30, "runDays": 400}
    assert wire.retention.asked == [("preview", wanted)]
    done = mantik(*SET, "--logs", "30", given="n\n", terminal=True)
    assert done.code == 1
    assert [what for what, _ in wire.retention.asked] == ["preview", "preview"]
    done = mantik(*SET, "--logs", "30", given="y\n", terminal=True)
    assert done.code == 0
    assert wire.retention.asked[-1] == ("PUT", wanted)
    wire.retention.rules["logDays"] = 90
    done = mantik(*SET, "--logs", "30", "--yes")
    assert (done.code, done.err) == (0, TOLD)
    assert done.out.startswith("Logs:             removed 30 days after the end of the run\n")


def test_a_new_rule_is_a_shorter_one(mantik: Mantik, wire: Wire) -> None:
    wire.retention.totals = GOES
    assert mantik(*SET, "--runs", "36500").code == 2
    assert [what for what, _ in wire.retention.asked] == ["preview"]


def test_a_longer_rule_and_one_by_which_nothing_goes_need_no_yes(mantik: Mantik, wire: Wire) -> None:
    wire.retention.rules |= {"logDays": 90, "runDays": 400}
    wire.retention.totals = GOES
    done = mantik(*SET, "--logs", "91", "--runs", "forever")
    assert (done.code, done.err) == (0, "")
    assert wire.retention.asked == [("PUT", {"logDays": 91})]
    wire.retention.totals = NOTHING
    done = mantik(*SET, "--site-directories", "7")
    assert (done.code, done.err) == (0, "Nothing would go now.\n")
    assert wire.retention.asked[-1] == ("PUT", {"logDays": 91, "siteDirectoryDays": 7})


@pytest.mark.parametrize("value", ["0", "-1", "36501", "1.5", "soon", "", "٣"])
def test_days_that_are_none_are_named_before_anything_is_asked(mantik: Mantik, wire: Wire, value: str) -> None:
    done = mantik(*SET, f"--logs={value}")
    assert done.code == 2
    assert "'--logs': give a whole number of days from 1 to 36500, or forever." in done.err
    assert wire.asked == []


def test_set_wants_a_rule(mantik: Mantik, wire: Wire) -> None:
    done = mantik(*SET)
    assert (done.code, wire.asked) == (2, [])
    assert "Give --logs, --site-directories or --runs." in done.err


def test_preview(mantik: Mantik, wire: Wire) -> None:
    wire.retention.totals = GOES
    wire.retention.items = [
        item_view(RUN, run=True, siteDirectory=True),
        item_view(identifier(90), log=False, logBytes=None, stays="The model net comes from it."),
        item_view(identifier(91), siteDirectory=True, problem="The site is down."),
    ]
    done = mantik(*PREVIEW)
    ended = "2026-01-02 03:04:05 UTC"
    assert [re.split(r" {2,}", line) for line in done.out.splitlines()] == [
        ["RUN", "ENDED", "GOES", "LOG", "WHY IT STAYS", "RUN ID"],
        ["train", ended, "run, log, directory", "2.0 KiB", RUN],
        ["train", ended, "The model net comes from it.", identifier(90)],
        ["train", ended, "log, directory", "2.0 KiB", "Tried again: The site is down.", identifier(91)],
    ]
    assert done.err == TOLD
    done = mantik(*PREVIEW, "--runs", "30", "-n", "2")
    assert done.err.endswith("There are more: --limit 4\n")
    assert wire.retention.asked[-1] == ("preview", {"runDays": 30})
    told = json.loads(mantik(*PREVIEW, "-o", "json").out)
    assert (told["totals"]["logs"], len(told["items"]), told["items"][1]["stays"][:9]) == (3, 3, "The model")


def test_preview_of_rules_that_keep_all_asks_for_just_those(mantik: Mantik, wire: Wire) -> None:
    """The saved rules would remove something; the given ones do not."""
    wire.retention.rules["logDays"] = 5
    done = mantik(*PREVIEW, "--logs", "forever")
    assert (done.out, done.err) == ("", "Nothing would go now.\n")
    assert wire.retention.asked == [("preview", {})]


def test_the_client_without_asyncio(client: Client, wire: Wire) -> None:
    wire.retention.items = [item_view(identifier(100 + n)) for n in range(5)]
    assert client.retention.get().log_days is None
    assert client.retention.set(SetRetention(log_days=3)).log_days == 3
    assert len(client.retention.preview(limit=2).items) == 2
    assert wire.retention.asked[-1] == ("preview", None)
    assert len(list(client.retention.due(SetRetention(run_days=9), page_size=2))) == 5
    with pytest.raises(ValueError, match="whole number of days"):
        SetRetention(log_days=0)


async def test_the_client_against_the_gateway(open_client: Open, world: World) -> None:
    place = await world.run(await world.place(), state="FINISHED")
    async with world.context.db.transaction() as session:
        (await session.get_one(Run, uuid.UUID(place.ids["runId"]))).ended_at = clock.now() - timedelta(days=10)
    project = place.ids["projectId"]
    ours = open_client(token=bearer((await world.person("maintainer")).headers), project=project)
    assert (await ours.retention.get()).run_days is None
    found = await ours.retention.preview(SetRetention(run_days=5))
    assert (found.totals.runs, found.totals.stay) == (1, 0)
    assert [str(item.run_id) async for item in ours.retention.due(SetRetention(run_days=5), page_size=1)] == [
        place.ids["runId"]
    ]
    assert (await ours.retention.set(SetRetention(run_days=20))).run_days == 20
    assert (await ours.retention.preview()).items == []
    with pytest.raises(InvalidInput, match="runDays: must be a whole number"):
        await ours.retention.set(SetRetention.model_construct(run_days=0))
    theirs = open_client(token=bearer((await world.person("researcher")).headers), project=project)
    with pytest.raises(Forbidden, match="maintainer"):
        await theirs.retention.set(SetRetention(run_days=1))


async def test_a_client_is_told_of_a_log_that_was_removed(open_client: Open, world: World) -> None:
    place = await world.run(await world.place(), state="FINISHED")
    run_id, at = uuid.UUID(place.ids["runId"]), datetime(2026, 3, 2, 23, 59, tzinfo=UTC)
    async with world.context.db.transaction() as session:
        session.add(Removal(run_id=run_id, what="log", begun_at=at, tried_at=at, done_at=at))
    owner = bearer((await world.person("owner")).headers)
    client = open_client(token=owner, project=place.ids["projectId"])
    sentence = "The log of this run was removed by the project's retention rule on 2026-03-02."
    for follow in (True, False):
        with pytest.raises(NotFound) as caught:
            _ = [told async for told in client.runs.logs(run_id, follow=follow)]
        assert caught.value.message == sentence


@pytest.mark.parametrize("words", [("--no-follow",), ("--tail", "3"), ()])
def test_logs_prints_that_the_log_was_removed(mantik: Mantik, wire: Wire, words: tuple[str, ...]) -> None:
    wire.retention.log_removed = "The log of this run was removed by the project's retention rule on 2026-03-02."
    done = mantik("runs", "logs", RUN, *words)
    assert (done.code, done.out, done.err) == (5, "", f"Error: {wire.retention.log_removed}\n")
