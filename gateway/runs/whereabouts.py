"""Where a run says it runs, the machine and the notebook: told by the code itself, kept among the run's events."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.session import Database
from gateway.runs.moves import record
from gateway.runs.rows import Event
from gateway.runs.service import load, may_change
from gateway.schemas.run_reports import Infrastructure, NotebookSource
from gateway.users.caller import Caller

MOST = 100
"""Different reports of one kind that are kept of a run: every process of a job may tell of its machine."""


async def tell_infrastructure(
    db: Database, caller: Caller, project_id: UUID, run_id: UUID, machine: Infrastructure
) -> None:
    """Keep what a machine of the run is. May be repeated. Past MOST machines nothing is kept, and no code of a job
    fails by that. Raises NoSuchRun, Forbidden."""
    told = {"infrastructure": machine.model_dump(by_alias=True)}
    await _tell(db, caller, project_id, run_id, f"It runs on {_words(machine)}.", told)


async def tell_notebook_source(
    db: Database, caller: Caller, project_id: UUID, run_id: UUID, source: NotebookSource
) -> None:
    """Keep which notebook the run came from; else as `tell_infrastructure`."""
    version = f" at {source.version}" if source.version else ""
    told = {"notebookSource": source.model_dump(by_alias=True)}
    await _tell(db, caller, project_id, run_id, f"It came from the notebook {source.location}{version}.", told)


def _words(machine: Infrastructure) -> str:
    parts = [
        machine.platform or machine.os,
        f"{machine.cpu_cores} CPUs" if machine.cpu_cores else "",
        f"{machine.gpu_count} GPUs" if machine.gpu_count else "",
        machine.memory_gb,
        f"Python {machine.python_version}" if machine.python_version else "",
    ]
    known = ", ".join(part for part in parts if part)
    return f"{machine.hostname}: {known}" if known else machine.hostname


async def _tell(db: Database, caller: Caller, project_id: UUID, run_id: UUID, text: str, told: dict[str, Any]) -> None:
    async with db.reading() as session:
        if caller.run_id is None:
            await may_change(session, caller, project_id, run_id)
        await load(session, caller, project_id, run_id)
        if not await _is_new(session, run_id, told):
            return
    async with db.transaction() as session:
        record(session, run_id, "report", text, told, caller=caller)


async def _is_new(session: AsyncSession, run_id: UUID, told: dict[str, Any]) -> bool:
    (kind,) = told
    rows = await session.scalars(select(Event.evidence).where(Event.run_id == run_id, Event.kind == "report"))
    kept = [evidence for evidence in rows if kind in evidence]
    return told not in kept and len(kept) < MOST
