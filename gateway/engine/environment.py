"""What a job finds in its environment to reach the gateway and MLflow. Goes to the 0600 file, never into the script."""

from gateway.runs.rows import Run
from gateway.settings import Settings
from gateway.sites.rows import Site
from gateway.tracking.alias import alias


def job_environment(
    settings: Settings, run: Run, site: Site, token: str, experiment: tuple[str, str]
) -> dict[str, str]:
    """Names as the published client and MLflow read them. `experiment`: its name, and MLflow's id or nothing."""
    values = {
        "MANTIK_API_URL": f"{settings.public_url}/api/v1",
        "MANTIK_PROJECT_ID": str(run.project_id),
        "MANTIK_RUN_ID": str(run.id),
        "MANTIK_EXPERIMENT_REPOSITORY_ID": str(run.experiment_repository_id),
        "MANTIK_EXPERIMENT_NAME": experiment[0],
        "MANTIK_EXPERIMENT_ID": experiment[1],
        "MANTIK_CODE_REPOSITORY_ID": str(run.code_repository_id),
        **(_files() if site.compute_nodes_reach_gateway == "no" else _tracking(settings, run, token)),
        # MLflow's client would print links to its own pages, which the gateway does not serve.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    if run.compute_budget_account:
        values["MANTIK_COMPUTE_BUDGET_ACCOUNT"] = run.compute_budget_account
    return values


def _tracking(settings: Settings, run: Run, token: str) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": f"{settings.public_url}/tracking/",
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_RUN_ID": alias(run.id),
    }


def _files() -> dict[str, str]:
    """The script of the job then names a directory of files; MLflow from 3.17 on refuses one without this."""
    return {"MLFLOW_ALLOW_FILE_STORE": "true"}
