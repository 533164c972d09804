"""What an attempt's commands see: the file `env` with tokens and secrets, and the top of login-node commands."""

import re
import shlex
from collections.abc import Mapping, Sequence

from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.spec import JobSpec

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def environment_file(values: Mapping[str, str]) -> bytes:
    """Lines `export NAME='value'` that a shell sources. Raises InvalidJob for what no environment can hold."""
    lines = []
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise InvalidJob(f"{name!r} is no name of a variable.", reason=Reason.INVALID_CONFIG)
        if "\0" in value:
            message = f"The value of {name} has a NUL character, which no environment can hold."
            raise InvalidJob(message, reason=Reason.INVALID_CONFIG)
        lines.append(f"export {name}={shlex.quote(value)}\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def login_script(spec: JobSpec, commands: Sequence[str]) -> bytes:
    """Commands for the login node; it is sourced in `code/`, and goes on in the directory of the MLproject."""
    top = "" if spec.job.project_path == "." else f"/{spec.job.project_path}"
    lines = (
        f"export MANTIK_RUN_ID={shlex.quote(spec.run_id)} MANTIK_GIT_REF={shlex.quote(spec.job.git_ref)}",
        f"export MANTIK_WORKING_DIRECTORY=$PWD{shlex.quote(top) if top else ''}",
        "export UC_WORKING_DIRECTORY=$MANTIK_WORKING_DIRECTORY MANTIK_OUTPUTS_DIR=${PWD%/*}/outputs",
        'cd -- "$MANTIK_WORKING_DIRECTORY"',
        *commands,
    )
    return "".join(f"{line}\n" for line in lines).encode()
