"""From a request to the bytes of `job.sh`. Pure: same request, same bytes; no absolute path of a site, no secret."""

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from backends.backend import DUPLICATE_EXIT_CODE, NO_FENCE_EXIT_CODE, REVOKED_EXIT_CODE
from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.spec import JobRequest
from compute_backend_configs import ComputeBackendConfig

_OPERATORS = re.compile(r"[();<>|&]+")
_READ_ONLY = frozenset({"UID", "EUID", "PPID", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO"})
_OWN = "mantik_"
"""The script's own variables begin so."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the config, as a here-document whose delimiter its value does not hold."""

    name: str
    value: str
    keep: bool = False
    """Leave a value that is set already."""

    @property
    def delimiter(self) -> str:
        digest = hashlib.sha256(self.value.encode()).hexdigest()
        return f"END_{self.name}_{digest[:16]}"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a kind of site has the parts of a run, as the shell sees it from the attempt's directory."""

    run: str = "${PWD%/*}"
    """Directory of code/, inputs/ and outputs/."""
    lineages: str = "${mantik_run%/*}/lineage"
    log: str = ""
    """File that the script appends all output to; empty where the site's own redirection leads there."""
    exit_code: str = ""
    """File for the exit code that the site reads besides; empty where it needs none."""

    @property
    def one_directory(self) -> bool:
        """Each attempt has all of its run in its own directory. The code comes there as `code-<sha256>.tar.gz`, which
        the script unpacks; and it writes down which symbolic links there are, for the site does not tell."""
        return self.run == "$PWD"


@cache
def _tracking() -> Variable:
    """The program that keeps beside the job what it tracks, as a here-document."""
    return Variable("TRACKING", files("backends.job_script").joinpath("tracking_endpoint.py").read_text().rstrip("\n"))


def render_script(request: JobRequest, directives: Sequence[str] = (), places: Places = Places()) -> bytes:
    """The script of a request, after `#SBATCH` directives where the site has them.

    Raises InvalidJob with reason INVALID_CONFIG for what no shell can carry."""
    config = request.config
    environment = config.environment
    text = _template().render(
        directives=directives,
        places=places,
        run_id=request.run_id,
        name=request.name,
        nodes=(config.resources.nodes if config.resources else None) or 1,
        tracking=_tracking() if request.local_tracking else None,
        lineage_id=request.lineage_id,
        git_ref=request.git_ref,
        project_path=request.project_path,
        modules=environment.modules if environment else (),
        variables=_variables(config),
        python=environment.python.path if environment and environment.python else None,
        container=environment.apptainer if environment else None,
        image=expanding(environment.apptainer.path) if environment and environment.apptainer else "",
        command=command_line(request),
        before=environment.pre_run_command_on_compute_node if environment else (),
        after=environment.post_run_command_on_compute_node if environment else (),
        revoked=REVOKED_EXIT_CODE,
        duplicate=DUPLICATE_EXIT_CODE,
        no_fence=NO_FENCE_EXIT_CODE,
    )
    if "\0" in text:
        raise InvalidJob("A value of the run has a NUL character, which no shell takes.", reason=Reason.INVALID_CONFIG)
    try:
        return text.encode()
    except UnicodeEncodeError:
        message = "A value of the run has half a character (a lone surrogate), which is no text."
        raise InvalidJob(message, reason=Reason.INVALID_CONFIG) from None


def _variables(config: ComputeBackendConfig) -> list[Variable]:
    given: Mapping[str, str] = config.environment.variables if config.environment else {}
    refused = sorted(name for name in given if name in _READ_ONLY or name.startswith(_OWN))
    if refused:
        message = f"Environment.Variables.{refused[0]}: the shell does not let it be set. Take it out."
        raise InvalidJob(message, reason=Reason.INVALID_CONFIG)
    defaults = [Variable(n, v, keep=True) for n, v in config.default_variables().items() if n not in given]
    return [*(Variable(name, value) for name, value in given.items()), *defaults]


def command_line(request: JobRequest) -> str:
    """The entry point's command, inside the container where the config has one."""
    image = request.config.environment.apptainer if request.config.environment else None
    if image is None:
        return request.command
    # As published: `srun apptainer run [options] image <command>`. What needs a shell gets one inside the image.
    needs_shell = any(_OPERATORS.fullmatch(t) for t in _tokens(request.command)) or "\n" in request.command
    inner = f"/bin/sh -c {shlex.quote(request.command)}" if needs_shell else request.command
    options = " ".join(expanding(option) for option in image.options)
    words = ('"${mantik_launch[@]}"', "apptainer run", options, '"$mantik_image"', inner)
    return " ".join(word for word in words if word)


def expanding(text: str) -> str:
    """One word for the shell, in which `$NAME` and `$(command)` are expanded, as the published client had it."""
    return '"' + re.sub(r'(["\\`])', r"\\\1", text) + '"'


def _tokens(command: str) -> list[str]:
    try:
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        return list(lexer)
    except ValueError:
        return ["&"]  # an open quote: only a shell can say what it means


@cache
def _template() -> Template:
    environment = Environment(  # noqa: S701  the output is no HTML
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        comment_start_string="{##",
    )
    environment.filters["quote"] = shlex.quote
    return environment.from_string(files("backends.job_script").joinpath("job.sh.jinja").read_text())
