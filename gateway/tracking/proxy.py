"""The proxy to MLflow, without HTTP: denied unless the table lets it through."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.db.session import Database
from gateway.errors import Forbidden
from gateway.tracking import artifacts, named, refused, registered, routes, searches
from gateway.tracking.alias import alias, stands_in, translated
from gateway.tracking.client import TrackingClient
from gateway.tracking.desk import Answer, Asked, Desk, Pairs, Passage
from gateway.tracking.message import Kind, address, parse_body, refuse_reserved_tags, without_copied_tags
from gateway.tracking.routes import Rule
from gateway.tracking.scopes import Reach
from gateway.tracking.standing import OwnRun
from gateway.users.caller import Caller

PATIENCE = 30.0
"""Seconds for one call of a user to MLflow; bytes of artifacts have no end but may not stand still."""
LOG_BATCH = "api/2.0/mlflow/runs/log-batch"
PATH_FIELDS = ("path", "artifact_directory_path", "artifact_file_path")

RULES: Mapping[Rule, Callable[[Desk, Asked], Awaitable[Answer | Passage]]] = {
    Rule.NAMED: named.named,
    Rule.OPEN: named.open_to_all,
    Rule.NEW_RUN: named.new_run,
    Rule.NEW_LOGGED_MODEL: named.new_logged_model,
    Rule.ARTIFACT: named.artifact,
    Rule.ARTIFACT_LIST: named.artifact,
    Rule.EXPERIMENT_NAME: searches.experiment_name,
    Rule.IN_EXPERIMENTS: searches.in_experiments,
    Rule.LIST_EXPERIMENTS: searches.list_experiments,
    Rule.LIST_MODELS: searches.list_models,
    Rule.MODEL: registered.model,
    Rule.NEW_VERSION: registered.model,
}


class TrackingProxy:
    """Raises errors of `gateway.errors`, TrackingRefused with MLflow's own answer, and TrackingUnavailable."""

    def __init__(self, database: Database, client: TrackingClient, *, seconds: float = PATIENCE) -> None:
        self.client = client
        self._desk = Desk(database, client, seconds)

    async def own_run(self, caller: Caller) -> OwnRun:
        """The run behind a run token, which is made in MLflow if it is not there yet."""
        await self._desk.gate.mlflow_run(caller)
        return await self._desk.gate.own_run(caller)

    async def add(self, caller: Caller, run: str, body: Mapping[str, Any]) -> None:
        """As `handle` for `runs/log-batch` with a run token, for a body of our own making: the run beside it, and in it
        nothing that names things but the `model_id` of metrics."""
        match = routes.find("POST", LOG_BATCH)
        assert match is not None  # noqa: S101  it stands in the table
        refuse_reserved_tags(LOG_BATCH, body)
        gate = self._desk.gate
        own = caller.run_id is not None and run == alias(caller.run_id)
        run_id = await gate.mlflow_run(caller) if own else run
        models = {metric["model_id"] for metric in body.get("metrics", ()) if metric.get("model_id")}
        named = [address(Kind.RUN, run_id), *(address(Kind.LOGGED_MODEL, model) for model in models)]
        await gate.admit(caller, match.route, named)
        await self._desk.call(Asked(caller, match, [], {}), {**body, "run_id": run_id})

    async def handle(
        self,
        caller: Caller,
        method: str,
        path: str,
        query: Pairs,
        body: Callable[[], Awaitable[bytes]],
        *,
        own_tags: Mapping[str, str] | None = None,
    ) -> Answer | Passage:
        """`path` is below the proxy's own, decoded once, without a leading slash. `body` is read only for JSON.

        `own_tags` are the gateway's, for what the request makes."""
        match = routes.find(method, path)
        if match is None:
            raise Forbidden(refused.reason(path))
        if caller.run_id is not None and match.route.run_token is Reach.NOTHING:
            raise Forbidden("A run token may not do this.", next_step="Use your own login.")
        json_body = method != "GET" and not match.route.streams
        sent = await body() if json_body else b""
        content = without_copied_tags(path, parse_body(sent))
        refuse_reserved_tags(path, content, match.variables.get("tag_key"))
        if own_tags:
            tags = [{"key": key, "value": value} for key, value in own_tags.items()]
            content = {**content, "tags": [*(content.get("tags") or ()), *tags]}
        _check_paths(match.route.method, query, match.variables.get("path"))
        asked = Asked(caller, match, query, content)
        if caller.run_id is not None and stands_in(alias(caller.run_id), path, query, sent):
            asked = translated(asked, alias(caller.run_id), await self._desk.gate.mlflow_run(caller))
        return await RULES[match.route.rule](self._desk, asked)


def _check_paths(method: str, query: Pairs, path: str | None) -> None:
    """Raises InvalidInput for a path that leaves its place, Forbidden for a write among the gateway's own files."""
    found = [artifacts.parse_relative(value) for key, value in query if key in PATH_FIELDS and value]
    if path is not None:
        found.append(artifacts.parse(path))
    if method != "GET" and any(where.gateways_own for where in found):
        raise Forbidden("The directory mantik of a run's artifacts is the gateway's own.")
