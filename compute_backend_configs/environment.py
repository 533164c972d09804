"""What surrounds the command of a job: image or venv, variables, modules, commands before and after."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from compute_backend_configs.fields import Commands, Line, Lines, Options, Section, fault, read_line
from compute_backend_configs.node import show

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def read_image_type(value: object) -> object:
    if value in ("local", "remote"):
        return value
    raise fault(f"must be `local` or `remote`, not {show(value)}", value, "local, remote")


def read_absolute(value: object) -> str:
    path = read_line(value)
    if not path.startswith("/"):
        raise fault(f"must be an absolute path on the site, not {show(path)}", path, "a path that starts with /")
    return path


def read_variable(value: object) -> str:
    # The value is not shown: it may be a secret.
    if value is None:
        raise fault('has no value; write "" for an empty one', None, "text or a number")
    if not isinstance(value, str | int):
        raise fault(f"must be text or a number, not {show(value)}", None, "text or a number")
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if "\0" in text:
        raise fault("holds a NUL character", None, "text without NUL characters")
    return text


def read_variable_name(value: object) -> str:
    name = str(value)
    if not IDENTIFIER.fullmatch(name):
        allowed = "letters, digits and _, not starting with a digit"
        raise fault(f"is not a name for a variable; it takes {allowed}", name, allowed)
    return name


def read_variables(value: object) -> object:
    return {} if value is None else value


ImageType = Annotated[Literal["local", "remote"], BeforeValidator(read_image_type)]
AbsolutePath = Annotated[str, BeforeValidator(read_absolute)]
Variable = Annotated[str, BeforeValidator(read_variable), WithJsonSchema({"type": ["string", "number", "boolean"]})]
VariableName = Annotated[str, BeforeValidator(read_variable_name)]


class Apptainer(Section):
    """An image that the command runs in."""

    path: Line = Field(
        alias="Path",
        description="`local`: relative to the project; `remote`: on the site, as `/...` or `$PROJECT/...`.",
    )
    type: ImageType = Field(default="local", alias="Type", description="Where the image is.")
    options: Options = Field(
        default=(), alias="Options", description="Options of `apptainer run`; a string is split as a shell does."
    )

    @model_validator(mode="after")
    def path_suits_type(self) -> "Apptainer":
        path = PurePosixPath(self.path)
        if self.type == "remote" and not self.path.startswith(("/", "$")):  # the site's shell expands $PROJECT/a.sif
            raise fault(f"Path must be absolute for `Type: remote`, not {show(self.path)}", self.path, "/...")
        if self.type == "local" and (path.is_absolute() or ".." in path.parts):
            message = f"Path must lie inside the project for `Type: local`, not {show(self.path)}"
            raise fault(f"{message}; an image on the site is `Type: remote`", self.path, "a relative path")
        return self


class PythonVenv(Section):
    """A virtual environment on the site that the command runs in."""

    path: AbsolutePath = Field(alias="Path", description="Absolute path of the environment on the site.")

    @model_validator(mode="before")
    @classmethod
    def from_string(cls, value: Any) -> Any:
        return {"Path": value} if isinstance(value, str | int) else value


class Environment(Section):
    """What surrounds the command."""

    apptainer: Apptainer | None = Field(default=None, alias="Apptainer", description="Image; excludes `Python`.")
    python: PythonVenv | None = Field(
        default=None, alias="Python", description="Virtual environment, as a path or `{Path}`; excludes `Apptainer`."
    )
    variables: Annotated[dict[VariableName, Variable], BeforeValidator(read_variables)] = Field(
        default={},
        alias="Variables",
        description="Environment variables; the compute node's shell expands the values.",
        json_schema_extra={"propertyNames": {"pattern": f"^{IDENTIFIER.pattern}$"}},
    )
    modules: Lines = Field(default=(), alias="Modules", description="Modules to load, in this order.")
    pre_run_command_on_login_node: Commands = Field(
        default=(), alias="PreRunCommandOnLoginNode", description="Runs on the login node before the job is submitted."
    )
    pre_run_command_on_compute_node: Commands = Field(
        default=(), alias="PreRunCommandOnComputeNode", description="Runs in the job before the command."
    )
    post_run_command_on_compute_node: Commands = Field(
        default=(), alias="PostRunCommandOnComputeNode", description="Runs in the job after the command."
    )
    post_run_command_on_login_node: Commands = Field(
        default=(), alias="PostRunCommandOnLoginNode", description="Runs on the login node after the job."
    )
