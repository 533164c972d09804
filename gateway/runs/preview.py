"""Dry runs: what would be submitted, byte for byte, and a token that submits just that or says what changed."""

import hashlib
import secrets
import uuid
from datetime import timedelta

from sqlalchemy import select

from gateway import clock
from gateway.budgets.guard import Guard
from gateway.budgets.ledger import ledgers
from gateway.budgets.service import worst_case_view
from gateway.db.session import Database
from gateway.errors import Conflict, InvalidInput, Unavailable
from gateway.runs.intake import Built, Previewed, build, earlier, given_config, submit
from gateway.runs.manifest import new_manifest
from gateway.runs.plan import Plan, PlanDelayed, Planner, PlanRefused
from gateway.runs.rows import Manifest, Preview, Run
from gateway.schemas import runs as wire
from gateway.settings import Settings
from gateway.users.caller import Caller

_SHOWN = {
    "connection_id": "the connection",
    "commit": "the commit",
    "command": "the command of the entry point",
    "script_sha256": "the job script",
    "code_sha256": "the code",
    "submit_command": "the submit command",
    "login_commands_before": "the commands on the login node",
    "login_commands_after": "the commands on the login node after the run",
}


async def preview(
    db: Database, settings: Settings, planner: Planner, caller: Caller, project_id: uuid.UUID, body: wire.SubmitRun
) -> wire.Preview:
    """Plan a run and reserve its id; nothing is submitted. Raises InvalidInput with the reason, Unavailable."""
    config = await given_config(body)
    async with db.reading() as session:
        built = await build(session, settings, caller, project_id, body, config)
    run = built.run
    plan = await _plan(planner, run)
    manifest = new_manifest(run.id, plan)
    token = f"mpv_{secrets.token_urlsafe(24)}"
    async with db.transaction() as session:
        row = Preview(run_id=run.id, project_id=project_id, user_id=caller.user_id, token_hash=_hash(token))
        row.body_sha256, row.shown, row.created_at = _body(body), _shown(run, manifest), clock.now()
        session.add(row)
    return wire.Preview(
        run_id=run.id,
        preview_token=token,
        commit=plan.commit,
        command=plan.command,
        script=plan.job.script.decode(),
        script_sha256=manifest.script_sha256,
        submit_command=list(plan.job.submit_command),
        login_commands_before=list(plan.job.login_commands_before),
        login_commands_after=list(plan.job.login_commands_after),
        config=plan.config,
        worst_case=worst_case_view(plan.worst),
        warnings=[*plan.warnings, *await _guard_warnings(db, built, plan)],
    )


async def _guard_warnings(db: Database, built: Built, plan: Plan) -> list[str]:
    """What the budget guard says of the run as of now. A preview is not refused, and reserves nothing."""
    if not built.guarded:
        return []
    async with db.reading() as session:
        found = (await ledgers(session, [built.run.project_id], lock=False)).get(built.run.project_id)
    verdict = found.judge(plan.worst) if found is not None else None
    if found is None or verdict is None:
        return []
    return [f"{verdict.warning} It would be refused." if found.guard is Guard.REFUSE else verdict.warning]


async def submit_previewed(
    db: Database,
    settings: Settings,
    planner: Planner,
    caller: Caller,
    project_id: uuid.UUID,
    body: wire.SubmitRun,
    *,
    key: str | None,
) -> wire.SubmittedRun:
    """Submit exactly what a preview showed. Raises Conflict that names what changed since."""
    if (answered := await earlier(db, caller, project_id, body, key)) is not None:
        return answered
    config = await given_config(body)
    async with db.reading() as session:
        same = (Preview.token_hash == _hash(body.preview_token or ""), Preview.user_id == caller.user_id)
        row = await session.scalar(select(Preview).where(*same, Preview.project_id == project_id))
        if row is None or row.created_at < clock.now() - timedelta(hours=settings.preview_hours):
            raise InvalidInput("previewToken: is unknown or too old.", next_step="Make a new preview.")
        if row.body_sha256 != _body(body):
            raise Conflict("The request differs from the one that was previewed.", next_step="Make a new preview.")
        run = (await build(session, settings, caller, project_id, body, config)).run
    run.id = run.lineage_id = row.run_id
    run.commit = row.shown["commit"]
    plan = await _plan(planner, run)
    manifest = new_manifest(run.id, plan)
    now = _shown(run, manifest)
    changed = [label for name, label in _SHOWN.items() if now[name] != row.shown[name]]
    if changed:
        raise Conflict(f"Changed since the preview: {', '.join(changed)}.", next_step="Make a new preview.")
    planned = Previewed(run.id, manifest, plan.worst)
    return await submit(db, settings, caller, project_id, body, key=key, planned=planned)


async def _plan(planner: Planner, run: Run) -> Plan:
    try:
        return await planner.plan(run)
    except PlanRefused as error:
        raise InvalidInput(error.message) from None
    except PlanDelayed as error:
        raise Unavailable(str(error), next_step="Try again later.") from None


def _shown(run: Run, manifest: Manifest) -> dict[str, object]:
    values = {name: getattr(manifest, name) for name in _SHOWN if name != "connection_id"}
    return {"connection_id": str(run.connection_id), **values}


def _body(body: wire.SubmitRun) -> str:
    return hashlib.sha256(body.model_copy(update={"preview_token": None}).model_dump_json().encode()).hexdigest()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
