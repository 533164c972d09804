"""What MLflow serves and the proxy denies on purpose, with the sentence that a user sees.

Only for the words, and for the test that every route of the installed MLflow is allowed or denied knowingly: a route
that stands nowhere is denied as well.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    pattern: str
    """Regular expression over the path without its version prefix (`api/2.0/`, `ajax-api/3.0/`, ...)."""
    because: str

    def covers(self, path: str) -> bool:
        return re.fullmatch(self.pattern, _VERSION.sub("", path), re.DOTALL) is not None


_VERSION = re.compile(r"^(ajax-)?api/[0-9.]+/?(?=mlflow|jobs)")
_PAGES = "MLflow's pages are not served here: they read data by GraphQL, which has no map to projects."
_TRACES = "Traces are not served here: they have no map to projects yet."
_GENAI = "MLflow's tools for language models are not served here: they have no map to projects."
_DIRECT = "Artifacts go through the gateway, not directly to the storage."

REFUSALS: tuple[Refusal, ...] = (
    Refusal(r"mlflow/experiments/(create|update|delete|restore)", "Experiments are made and changed in the gateway: "
            "mantik experiments create."),
    Refusal(r"|static-files/.*|build/.*|graphql|mlflow/ui-telemetry", _PAGES),
    Refusal(r"mlflow/(traces(/.*)?|get-trace-artifact|get-online-trace-details|unified-traces)|v1/(traces|metrics)",
            _TRACES),
    Refusal(r"mlflow/traces/.*/assessments(/.*)?", _TRACES),
    Refusal(r"mlflow/(gateway-proxy|gateway/.*|prompt-optimization/.*|scorers?(/.*)?|genai/.*|issues(/.*)?"
            r"|label-schemas/.*|review-queues/.*|assistant/.*|demo/.*|runs/create-promptlab-run|mcp-servers?(/.*)?)"
            r"|gateway/.*", _GENAI),
    Refusal(r"mlflow/datasets/.*", "Evaluation data sets are not served here: they may lie in several projects."),
    Refusal(r"mlflow/webhooks(/.*)?", "Webhooks of MLflow are not served here: they would show every project."),
    Refusal(r"mlflow/(workspaces(/.*)?|users/.*|roles/.*|.*permissions.*)|signup",
            "Members and roles are managed in the gateway: mantik projects."),
    Refusal(r"mlflow/jobs/.*|jobs/.*|mlflow/server-features", "Jobs of the MLflow server are not served here."),
    Refusal(r"mlflow/artifacts/presigned-(download|upload)-url|mlflow-artifacts/(mpu|presigned)/.*", _DIRECT),
    Refusal(r"mlflow/experiments/search-datasets", "Ask below ajax-api/2.0/."),
)  # fmt: skip
NOT_SERVED = "This is not served by the gateway's tracking server."


def reason(path: str) -> str:
    """Why this path is denied, in one sentence."""
    return next((refusal.because for refusal in REFUSALS if refusal.covers(path)), NOT_SERVED)
