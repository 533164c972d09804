"""Runs that were executed elsewhere (a laptop, a notebook) and only tell us: no job, their own transitions."""

import uuid

from gateway import clock
from gateway.audit.service import record as audit
from gateway.db.session import Database
from gateway.errors import Conflict, FieldProblem, InvalidInput
from gateway.projects.access import require
from gateway.repositories.rows import CodeRepository, ExperimentRepository
from gateway.runs.moves import IllegalMove, Move, move, record
from gateway.runs.rows import Run
from gateway.runs.service import load, may_change
from gateway.runs.states import FROM_MLFLOW, State
from gateway.schemas.runs import SubmitRun, SubmittedRun
from gateway.tracking.scopes import require_own_run
from gateway.users.caller import Caller


async def report(db: Database, caller: Caller, project_id: uuid.UUID, body: SubmitRun) -> SubmittedRun:
    """Store a run that somebody executes elsewhere. Nothing is submitted. Raises InvalidInput."""
    async with db.transaction() as session:
        await require(session, caller, project_id, "researcher")
        experiment = await session.get(ExperimentRepository, body.experiment_repository_id)
        code = await session.get(CodeRepository, body.code_repository_id) if body.code_repository_id else None
        problems = []
        if experiment is None or experiment.project_id != project_id:
            problems.append(FieldProblem("experimentRepositoryId", "this project has no such experiment repository"))
        if body.code_repository_id and (code is None or code.project_id != project_id):
            problems.append(FieldProblem("codeRepositoryId", "this project has no such code repository"))
        if problems:
            raise InvalidInput("The run cannot be stored.", problems=problems)
        run = _row(caller, project_id, body)
        session.add(run)
        await session.flush()
        record(session, run.id, "state", "Reported; executed elsewhere.", to=State.CREATED, caller=caller)
        audit(session, caller, "run.report", "run", run.id, project=str(project_id), name=run.name)
    return SubmittedRun(run_id=run.id, state="CREATED")


def _row(caller: Caller, project_id: uuid.UUID, body: SubmitRun) -> Run:
    run_id = uuid.uuid4()
    return Run(
        id=run_id,
        created_at=clock.now(),
        project_id=project_id,
        name=body.name,
        origin="reported",
        created_by=caller.user_id,
        run_as=caller.user_id,
        experiment_repository_id=body.experiment_repository_id,
        code_repository_id=body.code_repository_id,
        branch=body.branch,
        requested_commit=body.commit,
        data_repository_id=body.data_repository_id,
        data_branch=body.data_branch,
        data_commit=body.data_commit,
        mlproject_path=body.mlflow_mlproject_file_path,
        entry_point=body.entry_point,
        parameters=dict(body.mlflow_parameters),
        backend_config=body.backend_config if isinstance(body.backend_config, dict) else {"path": body.backend_config},
        lineage_id=run_id,
        mlflow_run_id=str(body.mlflow_run_id) if body.mlflow_run_id else None,
        state=State.CREATED,
    )


async def tell_status(db: Database, caller: Caller, project_id: uuid.UUID, run_id: uuid.UUID, status: str) -> None:
    """Take a status in MLflow's words. On a submitted run it is an event and changes nothing: its site knows."""
    if status not in FROM_MLFLOW:
        raise InvalidInput(f"status: {status!r} is none of {', '.join(FROM_MLFLOW)}.")
    if caller.run_id is not None:
        require_own_run(caller, run_id, "PUT", "status")
    async with db.transaction() as session:
        if caller.run_id is None:
            await may_change(session, caller, project_id, run_id)
        run = await load(session, caller, project_id, run_id)
        to = FROM_MLFLOW[status]
        if run.origin == "submitted":
            record(session, run.id, "report", f"The job says {status}.", caller=caller)
            return
        if run.state == to:
            return
        try:
            await move(session, run, Move(to, f"Reported as {status}.", {}), caller=caller)
        except IllegalMove:
            raise Conflict(f"The run is {run.state} and cannot become {status}.") from None
