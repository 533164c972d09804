"""Routes of one run: MLflow's id of the run may stand for the gateway's."""

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from fastapi.routing import APIRoute

from gateway.context import Context
from gateway.runs.mlflow_id import run_of
from gateway.runs.service import NoSuchRun


class RunRoute(APIRoute):
    """Answers again under the gateway's id when the project has no run of the given one, and one run has it in MLflow.

    A run that is named by the gateway's id costs no look-up, and what nobody may see is answered as if absent: the run
    is looked for when the check of roles has passed, and found in this project only.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except NoSuchRun:
                found = await _meant(request)
                if found is None:
                    raise
                request.scope["path_params"] = {**request.path_params, "runId": str(found)}
            return await handler(request)

        return answer


async def _meant(request: Request) -> UUID | None:
    context: Context = request.app.state.context
    project_id, run_id = (UUID(request.path_params[name]) for name in ("projectId", "runId"))
    async with context.db.reading() as session:
        return await run_of(session, project_id, run_id)
