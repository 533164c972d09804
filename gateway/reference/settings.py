"""The page of settings and variables."""

from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import annotated_types
import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.cli.application import application
from gateway.cli.reference import commands
from gateway.reference.markdown import table
from gateway.settings import PREFIX, Settings

_HEAD = """\
# Settings and variables

Made by `python -m gateway.reference`; do not edit.

## The gateway

Read from the environment when `mantik serve` starts. An empty variable means the default. A value that cannot be used
ends the start with an error that names the variable.
"""
_CLIENT = """\
## The command line and the Python client

An option or argument goes before its variable.
"""
_JOB = """\
## In a job

What the command of a run finds in its environment.
"""
_MADE = {"data_dir": "`$XDG_DATA_HOME/mantik-gateway`, else `~/.local/share/mantik-gateway`"}
"""Defaults that are made at the start."""
CLIENT = {
    "MANTIK_API_URL": "Address of the gateway, e.g. `https://host/api/v1`.",
    "MANTIK_USERNAME": "Your user name.",
    "MANTIK_PASSWORD": "Your password, or an API token. Without it the login of `mantik login` is used.",
}
JOB = {
    "MANTIK_RUN_ID": "The run.",
    "MANTIK_PROJECT_ID": "Its project.",
    "MANTIK_EXPERIMENT_REPOSITORY_ID": "Its experiment repository.",
    "MANTIK_EXPERIMENT_NAME": "The name of that.",
    "MANTIK_EXPERIMENT_ID": "MLflow's id of that; empty while MLflow has not made it.",
    "MANTIK_CODE_REPOSITORY_ID": "Its code repository.",
    "MANTIK_COMPUTE_BUDGET_ACCOUNT": "The account that is billed; not set when the run names none.",
    "MANTIK_GIT_REF": "The commit of the code.",
    "MANTIK_API_URL": "Address of the gateway.",
    "MANTIK_WORKING_DIRECTORY": "Directory of the MLproject on the site; the command starts there.",
    "UC_WORKING_DIRECTORY": "The same, under the name that projects written for UNICORE use.",
    "MANTIK_INPUTS_DIR": "`inputs/` of the run.",
    "MANTIK_OUTPUTS_DIR": "`outputs/` of the run.",
    "MANTIK_CHECKPOINT_DIR": "A directory that all runs of a chain share.",
    "MLFLOW_TRACKING_URI": "With local tracking a port of the job's first node, for all its nodes. With direct "
    "tracking, and on the gateway's own machine, the tracking proxy of the gateway; files in `outputs/mlruns` of the "
    "run where compute nodes do not reach that.",
    "MLFLOW_TRACKING_TOKEN": "With local tracking a token of this job alone. Else the token of this run, valid until "
    "an hour after its end; not set where tracking goes to files.",
    "MLFLOW_RUN_ID": "The MLflow run to log to: the id of the run without dashes, which the tracking proxy takes for "
    "MLflow's own id. Not set where tracking goes to files.",
    "MLFLOW_ALLOW_FILE_STORE": "`true` where tracking goes to files. Else not set.",
    "NO_PROXY": "With local tracking the address of that port, before what was there; `no_proxy` too.",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "`true`: MLflow prints no links to its web pages, which are not served.",
    "SLURM_EXPORT_ENV": "`ALL`, so that a step of `srun` sees these variables.",
}


def page() -> str:
    """The whole page, in Markdown."""
    settings = [
        (f"`{PREFIX}{name.upper()}`", _takes(field), _default(name, field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    parts = [
        _HEAD,
        table(("variable", "takes", "default", "meaning"), settings),
        "",
        _CLIENT,
        table(("variable", "meaning"), ((f"`{name}`", text) for name, text in client_variables().items())),
        "",
        _JOB,
        table(("variable", "meaning"), ((f"`{name}`", text) for name, text in JOB.items())),
        "",
    ]
    return "\n".join(parts)


def client_variables() -> dict[str, str]:
    """Those of the client, then those of the options of all commands."""
    found = dict(CLIENT)
    for _, command in commands(application()):
        for option in command.params:
            if isinstance(option, click.Option) and isinstance(option.envvar, str):
                found.setdefault(option.envvar, option.help or "")
    return found


def _takes(field: FieldInfo) -> str:
    wanted = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    kind: Any = wanted[0] if get_origin(field.annotation) is UnionType else field.annotation
    if get_origin(kind) is tuple:
        return "list, separated by commas"
    words = {bool: "`true` or `false`", int: "whole number", float: "number", SecretStr: "text"}.get(kind, "text")
    return f"{words}{_bounds(field)}"


def _bounds(field: FieldInfo) -> str:
    least = [f" from {m.ge}" for m in field.metadata if isinstance(m, annotated_types.Ge)]
    above = [f" above {m.gt}" for m in field.metadata if isinstance(m, annotated_types.Gt)]
    most = [f" to {m.le}" for m in field.metadata if isinstance(m, annotated_types.Le)]
    return "".join([*least, *above, *most])


def _default(name: str, field: FieldInfo) -> str:
    if name in _MADE:
        return _MADE[name]
    if field.default in ("", (), None):
        return "empty"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
