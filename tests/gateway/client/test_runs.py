import pytest

from gateway.client import Client, LogEvent, RunFilter, StillLive
from gateway.errors import Conflict, GatewayError, NotFound, Unavailable
from gateway.schemas.runs import SubmitRun
from tests.gateway.client.wire import EXPERIMENT, RUN, Wire, identifier, run_view


def body() -> SubmitRun:
    return SubmitRun(name="train", experiment_repository_id=EXPERIMENT, mlflow_parameters={"a": "1"})  # type: ignore[arg-type]


def test_a_submit_sends_published_names_and_nothing_that_was_not_given(wire: Wire, client: Client) -> None:
    assert str(client.runs.submit(body()).run_id) == RUN
    assert wire.bodies == [
        {
            "name": "train",
            "experimentRepositoryId": EXPERIMENT,
            "mlflowMlprojectFilePath": "MLproject",
            "entryPoint": "main",
            "mlflowParameters": {"a": "1"},
            "backendConfig": {},
        }
    ]


@pytest.mark.parametrize("fault", ["lost", "proxy", "busy"])
def test_a_lost_answer_never_makes_a_second_run(wire: Wire, client: Client, fault: str) -> None:
    wire.faults = [("POST", "/runs", fault)] * 2
    assert str(client.runs.submit(body()).run_id) == RUN
    assert wire.count("POST", "/runs") == 3
    assert len(wire.keys) == 1


def test_two_submits_are_two_runs(wire: Wire, client: Client) -> None:
    assert client.runs.submit(body()).run_id != client.runs.submit(body()).run_id
    assert len(wire.keys) == 2


def test_a_submit_with_an_ended_token_is_one_run(wire: Wire, client: Client) -> None:
    client.me()
    wire.tokens.clear()
    client.runs.submit(body())
    assert len(wire.keys) == 1


def test_a_preview_submits_nothing(wire: Wire, client: Client) -> None:
    assert client.runs.preview(body()).script == "#!/bin/bash\npython train.py\n"
    assert wire.keys == {}


def test_a_listing_goes_over_all_pages(wire: Wire, client: Client) -> None:
    for n in range(20, 25):
        wire.runs[identifier(n)] = run_view(runId=identifier(n), name=f"r{n}", state="FAILED")
    assert [r.name for r in client.runs.list()] == ["train", "r20", "r21", "r22", "r23", "r24"]
    chosen = RunFilter(states=("FAILED",), text="r2")
    assert len(list(client.runs.list(chosen))) == 5


def test_a_listing_asks_only_for_the_pages_that_are_used(wire: Wire, client: Client) -> None:
    for n in range(20, 25):
        wire.runs[identifier(n)] = run_view(runId=identifier(n))
    next(client.runs.list())
    assert wire.count("GET", "/runs") == 1


def test_a_run_by_name(wire: Wire, client: Client) -> None:
    assert str(client.runs.get("train").run_id) == RUN
    with pytest.raises(NotFound, match="There is no run named trai"):
        client.runs.get("trai")
    wire.runs[identifier(20)] = run_view(runId=identifier(20))
    with pytest.raises(Conflict, match="2 runs are named train"):
        client.runs.get("train")


def test_events_cancel_delete(wire: Wire, client: Client) -> None:
    assert [e.to_state for e in client.runs.events(RUN)] == ["CREATED", "PREPARING", "RUNNING"]
    assert client.runs.cancel(RUN).cancel_requested_at is not None
    with pytest.raises(Conflict, match=r"Cancel it first, or delete it with cancel=true\.$"):
        client.runs.delete(RUN)
    client.runs.delete(RUN, cancel=True)
    with pytest.raises(NotFound):
        client.runs.get(RUN)


def test_wait_tells_each_state_and_outlives_an_outage(wire: Wire, client: Client) -> None:
    wire.states = ["QUEUED", "QUEUED", "RUNNING", "FINISHED"]
    wire.faults = [("GET", RUN, "proxy")] * 5
    told: list[str] = []
    assert client.runs.wait(RUN, on_change=lambda run: told.append(run.state)).state == "FINISHED"
    assert told == ["QUEUED", "RUNNING", "FINISHED"]


def test_wait_gives_up(wire: Wire, client: Client) -> None:
    with pytest.raises(StillLive, match=r"The run is RUNNING after 0 s\."):
        client.runs.wait(RUN, timeout=0)
    wire.faults = [("GET", RUN, "proxy")] * 9
    with pytest.raises(Unavailable):
        client.runs.wait(RUN, patience=0)


def test_following_goes_on_after_cuts_where_it_stood(wire: Wire, client: Client) -> None:
    wire.streams = [
        [("state", "0.0", {"state": "RUNNING"}), ("log", "0.4", {"text": "one\n"})],
        [("state", "0.4", {"state": "RUNNING"})],
        [("beat", "0.4", {}), ("log", "0.8", {"text": "two\n"}), ("gap", "0.90", {"skipped": 82})],
        [
            ("generation", "1.0", {}),
            ("log", "1.6", {"text": "three\n"}),
            ("unheard", "1.6", {}),
            ("state", "1.6", {"state": "FINISHED"}),
            ("end", "1.6", {"state": "FINISHED"}),
        ],
    ]
    assert list(client.runs.logs(RUN, follow=True)) == [
        LogEvent("state", "0.0", "RUNNING"),
        LogEvent("log", "0.4", "one\n"),
        LogEvent("log", "0.8", "two\n"),
        LogEvent("gap", "0.90", skipped=82),
        LogEvent("generation", "1.0"),
        LogEvent("log", "1.6", "three\n"),
        LogEvent("state", "1.6", "FINISHED"),
        LogEvent("end", "1.6", "FINISHED"),
    ]
    assert wire.opened == [(None, None), ("0.4", None), ("0.4", None), ("0.90", None)]


def test_following_outlives_an_outage_and_an_ended_token(wire: Wire, client: Client) -> None:
    client.me()
    wire.streams = [[("log", "0.1", {"text": "a"})], [("log", "0.2", {"text": "b"}), ("end", "0.2", {})]]
    events = client.runs.logs(RUN, follow=True)
    assert next(events).text == "a"
    wire.tokens.clear()
    wire.faults = [("GET", "/logs", "proxy")] * 8
    assert [e.text for e in events] == ["b", ""]


def test_following_begins_at_a_position_or_with_the_last_lines(wire: Wire, client: Client) -> None:
    wire.streams = [[("end", "0.9", {})], [("end", "0.9", {})]]
    list(client.runs.logs(RUN, follow=True, since="0.5"))
    list(client.runs.logs(RUN, follow=True, tail=3))
    assert wire.opened == [("0.5", None), (None, "3")]


def test_following_a_stream_that_is_none(wire: Wire, client: Client) -> None:
    wire.faults = [("GET", "/logs", "html")]
    with pytest.raises(GatewayError, match="does not tell a live log"):
        list(client.runs.logs(RUN, follow=True))


def test_following_that_is_cut_again_and_again_ends(
    wire: Wire, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.logs._CUT_SECONDS", (0.001,))
    monkeypatch.setattr("gateway.client.logs.PATIENCE_SECONDS", 0.003)
    wire.streams = [[] for _ in range(5)]
    with pytest.raises(Unavailable, match="cut again and again"):
        list(client.runs.logs(RUN, follow=True))


def test_the_stored_log_byte_for_byte(wire: Wire, client: Client) -> None:
    wire.log = b"one\ntwo \xff\xfe\nthree\n"
    assert b"".join(p.data for p in client.runs.read_log(RUN)) == wire.log
    assert b"".join(p.data for p in client.runs.read_log(RUN, since="0.4")) == wire.log[4:]
    assert b"".join(p.data for p in client.runs.read_log(RUN, tail=1)) == b"three\n"
    assert list(client.runs.logs(RUN, tail=1)) == [LogEvent("log", "0.17", "three\n")]
