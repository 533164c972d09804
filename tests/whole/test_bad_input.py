"""Bad input ends in one clear sentence that names field and next step; nothing is lost."""

import pytest

from tests.whole.conftest import Lab
from tests.whole.workshop import Workshop


def ends(workshop: Workshop, reason: str, **changes: object) -> str:
    """The message of a run that must fail before anything is submitted; the run and its inputs stay."""
    run = workshop.ended(workshop.submit(connectionId=workshop.local(), **changes))
    assert (run["state"], run["reason"], run["job"]) == ("FAILED", reason, None)
    assert run["experimentRepositoryId"] == workshop.experiment
    return str(run["message"])


def test_wrong_branch(workshop: Workshop) -> None:
    assert ends(workshop, "CODE_NOT_FOUND", branch="mian") == "The repository has no branch 'mian'. It has: main."


def test_wrong_commit(workshop: Workshop) -> None:
    assert "no commit 'deadbeef'" in ends(workshop, "CODE_NOT_FOUND", commit="deadbeef")


def test_missing_mlproject(workshop: Workshop) -> None:
    said = ends(workshop, "INVALID_CONFIG", mlflowMlprojectFilePath="training/MLproject")
    assert said == (
        "There is no MLproject at 'training/MLproject' in the repository at this commit. It has: MLproject."
    )


def test_missing_entry_point(workshop: Workshop) -> None:
    said = ends(workshop, "INVALID_CONFIG", entryPoint="train")
    assert said.startswith("MLproject has no entry point 'train'. It has: big, binary, fails, main")


def test_missing_parameter(workshop: Workshop) -> None:
    said = ends(workshop, "INVALID_CONFIG", entryPoint="needs")
    assert said == "mlflowParameters: entry point 'needs' needs rate. Give each as -P name=value."


def test_parameter_of_the_wrong_type(workshop: Workshop) -> None:
    said = ends(workshop, "INVALID_CONFIG", entryPoint="needs", mlflowParameters={"rate": "quick"})
    assert said == "mlflowParameters.rate: 'quick' is no number, and its type is float."


def test_uri_where_a_path_is_meant(workshop: Workshop) -> None:
    given = {"marker": "https://example.org/x"}
    assert "`path` is a path on the site" in ends(
        workshop, "INVALID_CONFIG", entryPoint="marks", mlflowParameters=given
    )


def test_missing_config_file(workshop: Workshop) -> None:
    said = ends(workshop, "INVALID_CONFIG", backendConfig="mantik.yml")
    assert said.startswith("backendConfig: there is no file 'mantik.yml' in the repository at commit")


def test_broken_config_file(workshop: Workshop) -> None:
    assert "broken.yaml:" in ends(workshop, "INVALID_CONFIG", backendConfig="broken.yaml")


def test_config_in_git_that_names_another_host(workshop: Workshop) -> None:
    said = ends(workshop, "INVALID_CONFIG", backendConfig="elsewhere.yaml")
    assert "elsewhere.example.org:22" in said
    assert "this machine" in said


def test_config_that_names_another_host(lab: Lab) -> None:
    other = {"SSH": {"Hostname": "elsewhere.example.org"}, "Resources": {"Queue": "batch"}}
    said = lab.workshop.refusal(connectionId=lab.connection, backendConfig=other)
    assert "backendConfig: The config is for elsewhere.example.org:22, and the connection is for 127.0.0.1:" in said


def test_repository_of_another_project(workshop: Workshop) -> None:
    other = workshop.gateway.call("POST", "/projects", {"name": "another project"})["projectId"]
    answer = workshop.gateway.problem("POST", f"/projects/{other}/runs", workshop.request())
    assert answer["status"] == 422
    assert {e["field"] for e in answer["errors"]} >= {"experimentRepositoryId", "codeRepositoryId"}


def test_typo_in_the_config(workshop: Workshop) -> None:
    said = workshop.refusal(connectionId=workshop.local(), backendConfig={"Local": {}, "Resorces": {}})
    assert "Resorces" in said
    assert "Resources" in said.replace("Resorces", "")


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("changes", "resources", "reason", "words"),
    [
        ({"computeBudgetAccount": "nope"}, {}, "BUDGET_REFUSED", "computeBudgetAccount: you may not bill 'nope'"),
        ({}, {"Queue": "fast"}, "INVALID_CONFIG", "Resources.Queue: the site has no queue 'fast'. It has: batch"),
        ({}, {"Nodes": 99}, "INVALID_CONFIG", "Resources.Nodes: 99 asked, and queue batch has at most 4"),
        ({}, {"Queue": "debug", "Runtime": "1h"}, "INVALID_CONFIG", "3600 asked, and queue debug has at most 300"),
    ],
)
def test_more_than_the_site_has(
    lab: Lab, changes: dict[str, object], resources: dict[str, object], reason: str, words: str
) -> None:
    run = lab.workshop.ended(lab.submit(**changes, backendConfig=lab.config(**resources)))
    assert (run["state"], run["reason"]) == ("FAILED", reason)
    assert words in run["message"]
    assert lab.jobs(run["runId"]) == []


@pytest.mark.slurm
def test_what_only_slurm_knows(lab: Lab) -> None:
    run = lab.workshop.ended(lab.submit(backendConfig=lab.config(Reservation="gone")))
    assert (run["state"], run["reason"]) == ("FAILED", "REFUSED_BY_SITE")
    assert "Resources.Reservation" in run["message"]
