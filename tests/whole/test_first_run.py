"""The line everything hangs on: git -> MLproject -> config -> job -> log -> MLflow."""

import json
from typing import Any

import httpx
import pytest

from tests.whole.conftest import Lab
from tests.whole.gateway_process import wait_for
from tests.whole.workshop import Workshop


def stream(workshop: Workshop, run_id: str, start: str | None = None) -> list[tuple[str, str, dict[str, Any]]]:
    """Events of the live log: name, id, data; until `end`."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": start} if start else {})
    found: list[tuple[str, str, dict[str, Any]]] = []
    with workshop.gateway.http.stream("GET", workshop.path("runs", run_id, "logs"), headers=headers) as answer:
        name = place = ""
        for line in answer.iter_lines():
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "id":
                place = value
            elif key == "data":
                found.append((name, place, json.loads(value)))
    return found


def test_on_this_machine(workshop: Workshop) -> None:
    run_id = workshop.submit(connectionId=workshop.local(), mlflowParameters={"word": 'it\'s "$HOME" *'})
    events = stream(workshop, run_id)
    assert "".join(e[2]["text"] for e in events if e[0] == "log") == 'it\'s "$HOME" *\n'
    assert [e[2]["state"] for e in events if e[0] == "state"][-1] == "FINISHED"
    run = workshop.ended(run_id)
    assert (run["state"], run["exitCode"], run["conditions"]) == ("FINISHED", 0, [])
    assert [p["state"] for p in run["phases"]][:4] == ["CREATED", "PREPARING", "SUBMITTING", "QUEUED"]
    assert stream(workshop, run_id, events[0][1])[-1][0] == "end"


def test_exit_code(workshop: Workshop) -> None:
    run = workshop.ended(workshop.submit(connectionId=workshop.local(), entryPoint="fails"))
    assert (run["state"], run["reason"], run["exitCode"]) == ("FAILED", "EXIT_CODE", 3)
    assert run["message"] == "The command ended with code 3; the log says why."
    assert workshop.log(run["runId"]) == b"to the log\n"


@pytest.mark.slurm
def test_on_slurm_with_an_account(lab: Lab) -> None:
    run = lab.workshop.ended(lab.submit())
    assert (run["state"], run["job"]["account"], run["siteName"]) == ("FINISHED", "budget-a", "lab")
    assert lab.workshop.log(run["runId"]) == b"hello\n"
    ((job_id, account, state, code, _),) = lab.billed(run["runId"])
    assert (job_id, account, state, code) == (run["job"]["siteJobId"], "budget-a", "COMPLETED", "0:0")
    env = lab.there.run("ls", run["workDirectory"])
    assert "env" not in env.split()


@pytest.mark.slurm
def test_cancel_a_running_job(lab: Lab) -> None:
    run_id = lab.submit(entryPoint="waits")
    lab.workshop.until(run_id, "RUNNING")
    lab.workshop.gateway.call("POST", lab.workshop.path("runs", run_id, "cancel"))
    run = lab.workshop.ended(run_id)
    assert (run["state"], run["reason"], run["message"]) == (
        "CANCELLED",
        "CANCELLED_BY_USER",
        "Cancelled as requested.",
    )
    assert lab.workshop.gateway.problem("POST", lab.workshop.path("runs", run_id, "cancel"))["status"] == 409


@pytest.mark.slurm
def test_delete_with_the_directory_on_the_site(lab: Lab) -> None:
    run = lab.workshop.ended(lab.submit())
    path = lab.workshop.path("runs", run["runId"])
    answer = lab.workshop.gateway.http.delete(path, params={"siteDirectory": True})
    assert answer.status_code == 204
    wait_for(lambda: lab.workshop.gateway.http.get(path).status_code == 404, 30)
    assert run["runId"] not in lab.there.run("ls", run["workDirectory"].rsplit("/", 2)[0])


def test_same_key_same_run(workshop: Workshop) -> None:
    body = workshop.request(connectionId=workshop.local())
    headers = {"Idempotency-Key": "a key of this test"}
    answers = [workshop.gateway.http.post(workshop.path("runs"), json=body, headers=headers) for _ in range(3)]
    assert {a.status_code for a in answers} == {202}
    assert len({a.json()["runId"] for a in answers}) == 1
    other = workshop.gateway.http.post(workshop.path("runs"), json=body | {"name": "other"}, headers=headers)
    assert other.status_code == 409
    workshop.ended(answers[0].json()["runId"])


def test_what_was_previewed_is_submitted(workshop: Workshop) -> None:
    body = workshop.request(connectionId=workshop.local())
    shown = workshop.gateway.call("POST", workshop.path("runs"), body, dryRun=True)
    run_id = workshop.submit(connectionId=workshop.local(), previewToken=shown["previewToken"])
    assert run_id == shown["runId"]
    run = workshop.ended(run_id)
    assert (run["script"], run["scriptSha256"]) == (shown["script"], shown["scriptSha256"])
    again = workshop.refusal(connectionId=workshop.local(), previewToken=shown["previewToken"])
    assert "submitted before" in again
    other = workshop.refusal(connectionId=workshop.local(), previewToken=shown["previewToken"], name="other")
    assert "differs" in other


def test_states_and_details_stand_in_mlflow(workshop: Workshop) -> None:
    run = workshop.ended(workshop.submit(connectionId=workshop.local()))
    login = {"Authorization": workshop.gateway.http.headers["Authorization"]}
    address = f"{workshop.gateway.url}/tracking/api/2.0/mlflow/"

    def in_mlflow() -> str | None:
        found: str | None = workshop.run(run["runId"])["mlflowRunId"]
        return found

    # MLflow is told of a run that ended before in its own time.
    mlflow_run_id = wait_for(in_mlflow, 30)

    def told() -> dict[str, Any] | None:
        asked = {"run_id": mlflow_run_id}
        there: dict[str, Any] = httpx.get(f"{address}runs/get", params=asked, headers=login).json()["run"]
        return there if there["info"]["status"] == "FINISHED" else None

    there = wait_for(told, 30)
    tags = {t["key"]: t["value"] for t in there["data"]["tags"]}
    assert tags["mantik.commit"] == run["commit"]
    assert tags["mantik.jobId"] == run["job"]["siteJobId"]
    asked = {"run_id": mlflow_run_id, "path": "mantik"}
    files = httpx.get(f"{address}artifacts/list", params=asked, headers=login).json()["files"]
    assert {f["path"] for f in files} == {"mantik/job.sh", "mantik/backend-config.json"}
