"""The manifest of a run: exactly what is submitted, kept for ever."""

import hashlib
import uuid

from gateway import clock
from gateway.runs.plan import Plan
from gateway.runs.rows import Manifest


def new_manifest(run_id: uuid.UUID, plan: Plan) -> Manifest:
    """The row of a plan: exactly what will be submitted."""
    return Manifest(
        run_id=run_id,
        created_at=clock.now(),
        commit=plan.commit,
        config=plan.config,
        command=plan.command,
        script=plan.job.script,
        script_sha256=hashlib.sha256(plan.job.script).hexdigest(),
        code_sha256=plan.bundle.sha256,
        code_size=plan.bundle.size,
        submit_command=list(plan.job.submit_command),
        login_commands_before=list(plan.job.login_commands_before),
        login_commands_after=list(plan.job.login_commands_after),
        project_path=plan.job.project_path,
        warnings=list(plan.warnings),
        local_tracking=plan.job.local_tracking,
    )
