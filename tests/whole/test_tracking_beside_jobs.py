"""What the ranks of a job on two nodes of the real Slurm track stands in MLflow, though the gateway was killed."""

from pathlib import Path
from typing import Any

import pytest

from tests.whole.command_line import training_venv
from tests.whole.conftest import Lab
from tests.whole.gateway_process import GatewayProcess, wait_for
from tests.whole.workshop import Workshop, make_repository

RANKS, POINTS = 4, 25
RANK = """\
import contextlib, os, pathlib, sys, time
import mlflow
rank = os.environ["SLURM_PROCID"]
own = mlflow.start_run()
with contextlib.nullcontext() if rank == "0" else mlflow.start_run(nested=True, run_name=f"rank {rank}"):
    for step in range(25):
        mlflow.log_metric(f"loss of rank {rank}", step / 10, step=step)
    mlflow.log_param(f"node of rank {rank}", os.environ["SLURMD_NODENAME"])
    mlflow.log_text(rank * 100_000, f"from rank {rank}.txt")
    go = pathlib.Path(os.environ["MANTIK_OUTPUTS_DIR"], "go")
    while not go.exists():
        time.sleep(0.2)
    mlflow.log_metric("late", 1)
print("done", os.environ["MLFLOW_TRACKING_URI"], flush=True)
"""
PROJECT = """\
name: ranks
entry_points:
  main:
    parameters:
      python: path
    command: "srun --ntasks 4 {python} rank.py"
  direct:
    parameters:
      python: path
    command: "echo $MLFLOW_TRACKING_URI"
"""


def asked(gateway: GatewayProcess, path: str, **query: str) -> dict[str, Any]:
    answer = gateway.http.get(f"{gateway.url}/tracking/api/2.0/mlflow/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def tracked(gateway: GatewayProcess, experiment: str) -> dict[str, dict[str, Any]]:
    """The runs of an experiment with their data, by name."""
    body = {"experiment_ids": [experiment]}
    answer = gateway.http.post(f"{gateway.url}/tracking/api/2.0/mlflow/runs/search", json=body)
    return {run["info"]["run_name"]: run for run in answer.json().get("runs", ())}


@pytest.mark.slurm
@pytest.mark.mlflow
@pytest.mark.timeout(600)
def test_ranks_on_two_nodes(lab: Lab, folder: Path) -> None:
    gateway = lab.workshop.gateway
    workshop = Workshop(gateway, make_repository(folder / "ranks", {"MLproject": PROJECT, "rank.py": RANK}))
    resources = lab.config(Nodes=2, TasksPerNode=2, Runtime="9m", MemoryPerNode="900MB")
    wanted = {"connectionId": lab.connection, "computeBudgetAccount": "budget-a"}
    python = {"python": f"{training_venv()}/bin/python"}
    run_id = workshop.submit(name="ranks", backendConfig=resources, mlflowParameters=python, **wanted)
    run = workshop.until(run_id, "RUNNING")
    experiment = wait_for(lambda: workshop.run(run_id)["mlflowRunId"], 60)
    experiment = asked(gateway, "runs/get", run_id=experiment)["run"]["info"]["experiment_id"]

    def all_points() -> bool:
        logged = [m for r in tracked(gateway, experiment).values() for m in r["data"].get("metrics", ())]
        return {m["key"] for m in logged if int(m.get("step", 0)) == POINTS - 1} >= {
            f"loss of rank {rank}" for rank in range(RANKS)
        }

    assert wait_for(all_points, 240, lambda: workshop.story(run_id) + workshop.log(run_id).decode())
    assert workshop.run(run_id)["state"] == "RUNNING"
    gateway.kill()
    (Path(run["workDirectory"]).parent / "outputs" / "go").touch()
    wait_for(lambda: (Path(run["workDirectory"]) / "exit").exists(), 60)
    gateway.start()
    ended = workshop.ended(run_id)
    assert ended["state"] == "FINISHED", workshop.story(run_id)
    wait_for(lambda: "stands in MLflow" in workshop.story(run_id), 120, lambda: workshop.story(run_id))

    # MLflow may have been away when the gateway was back: that passes by itself.
    wait_for(lambda: "TRACKING_BEHIND" not in workshop.conditions(run_id), 120, lambda: workshop.story(run_id))
    assert {name: text for name, text in workshop.conditions(run_id).items() if "TRACKING" in name} == {}
    runs = tracked(gateway, experiment)
    assert set(runs) == {"ranks", "rank 1", "rank 2", "rank 3"}
    nodes = set()
    for rank, name in enumerate(("ranks", "rank 1", "rank 2", "rank 3")):
        data, mlflow_id = runs[name]["data"], runs[name]["info"]["run_id"]
        assert runs[name]["info"]["status"] == "FINISHED"
        assert {m["key"]: m["value"] for m in data["metrics"]}["late"] == 1
        nodes |= {p["value"] for p in data["params"] if p["key"] == f"node of rank {rank}"}
        history = asked(gateway, "metrics/get-history", run_id=mlflow_id, metric_key=f"loss of rank {rank}")["metrics"]
        assert [(m.get("step", 0), m["value"]) for m in history] == [(step, step / 10) for step in range(POINTS)]
        files = asked(gateway, "artifacts/list", run_id=mlflow_id)["files"]
        assert {"path": f"from rank {rank}.txt", "is_dir": False, "file_size": 100_000} in files
    assert len(nodes) == 2
    log = workshop.log(run_id).decode()
    assert log.count("done http://") == RANKS
    assert gateway.url not in log


@pytest.mark.slurm
def test_direct_where_the_config_says_so(lab: Lab, folder: Path) -> None:
    gateway = lab.workshop.gateway
    workshop = Workshop(gateway, make_repository(folder / "direct", {"MLproject": PROJECT}))
    wanted = {"connectionId": lab.connection, "computeBudgetAccount": "budget-a", "entryPoint": "direct"}
    config = {**lab.config(), "Tracking": "direct"}
    run = workshop.ended(workshop.submit(backendConfig=config, mlflowParameters={"python": "/bin/true"}, **wanted))
    assert run["state"] == "FINISHED", workshop.story(run["runId"])
    assert workshop.log(run["runId"]).decode().strip().endswith("/tracking/")
