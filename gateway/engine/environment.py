"""What a job finds in its environment to reach the gateway and MLflow. Goes to the 0600 file, never into the script."""

from gateway.runs.rows import Run
from gateway.settings import Settings


def job_environment(settings: Settings, run: Run, token: str) -> dict[str, str]:
    """Names as the published client and MLflow read them."""
    values = {
        "MANTIK_API_URL": f"{settings.public_url}/api/v1",
        "MANTIK_PROJECT_ID": str(run.project_id),
        "MANTIK_RUN_ID": str(run.id),
        "MANTIK_EXPERIMENT_REPOSITORY_ID": str(run.experiment_repository_id),
        "MANTIK_CODE_REPOSITORY_ID": str(run.code_repository_id),
        "MLFLOW_TRACKING_URI": f"{settings.public_url}/tracking/",
        "MLFLOW_TRACKING_TOKEN": token,
    }
    if run.compute_budget_account:
        values["MANTIK_COMPUTE_BUDGET_ACCOUNT"] = run.compute_budget_account
    if run.mlflow_run_id:
        values["MLFLOW_RUN_ID"] = run.mlflow_run_id
    return values
