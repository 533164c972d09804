"""The page of states, conditions, reasons and errors."""

from collections.abc import Iterable, Mapping

from backends.backend import DUPLICATE_EXIT_CODE, NO_FENCE_EXIT_CODE, REVOKED_EXIT_CODE
from backends.reasons import Reason
from gateway.cli.failures import EXIT_CODES
from gateway.errors import GatewayError
from gateway.models.words import MEANINGS, Status
from gateway.reference.markdown import code, table
from gateway.reference.meanings import CONDITIONS, LASTING, NOT_GIVEN, OTHER_CODES, REASONS, STATES
from gateway.runs.states import OF_LIVE_RUNS, REPORTED_TRANSITIONS, TRANSITIONS, ConditionName, State, mlflow_status

_HEAD = """\
# States, conditions, reasons, errors

Made by `python -m gateway.reference`; do not edit.

## States of a run
"""
_STATES = """\
FAILED is left only when its reason is LOST: evidence that came late reopens the run.
"""
_REPORTED = """\
## States of a run that was executed elsewhere
"""
_CONDITIONS = """\
## Conditions

Something to know about a run. A condition never changes the state by itself.
"""
_REASONS = """\
## Reasons

Each run that is FAILED or CANCELLED has one, with a sentence and, where there are any, the site's own words.
"""
_MODELS = """\
## Status of a model
"""
_ERRORS = """\
## Errors of the API

An error is JSON (RFC 9457, `application/problem+json`): `code` for programs, `detail` for people, `nextStep`, and
`errors` with one entry per wrong field. The command line ends with the exit code; the Python client raises the class
from `gateway.errors`.
"""


def page() -> str:
    """The whole page, in Markdown."""
    states = ((f"`{s}`", STATES[s], _moves(TRANSITIONS[s]), f"`{mlflow_status(s)}`") for s in State)
    reported = ((f"`{s}`", _moves(to)) for s, to in REPORTED_TRANSITIONS.items())
    conditions = ((f"`{c}`", CONDITIONS[c] + _unused(c), _end(c)) for c in ConditionName)
    reasons = ((f"`{r}`", REASONS[r] + _unused(r)) for r in Reason)
    parts = [
        _HEAD,
        table(("state", "meaning", "may become", "in MLflow"), states),
        "",
        _STATES,
        _REPORTED,
        table(("state", "may become"), reported),
        "",
        _CONDITIONS,
        table(("condition", "meaning", "goes"), conditions),
        "",
        _REASONS,
        table(("reason", "meaning"), reasons),
        "",
        _MODELS,
        table(("status", "meaning"), ((f"`{s}`", MEANINGS[s]) for s in Status)),
        "",
        _ERRORS,
        table(("code", "HTTP status", "exit code", "class", "meaning"), _errors()),
        "",
        "## Exit codes of the command line",
        "",
        "`runs submit`, `runs logs` and `runs wait` end with the exit code of the run when it has one.",
        "",
        table(("code", "meaning"), ((str(number), text) for number, text in EXIT_CODES.items())),
        "",
        "## Exit codes of a copy that did not run",
        "",
        "A copy of a job that finds that it may not run ends at once, touches nothing, and is not an end of the run.",
        "",
        table(("code", "meaning"), _copies()),
        "",
    ]
    return "\n".join(parts)


def errors() -> Mapping[str, type[GatewayError]]:
    """Each code with its class."""
    own: list[type[GatewayError]] = [GatewayError, *(c for c in GatewayError.__subclasses__() if "code" in vars(c))]
    return {c.code: c for c in sorted(own, key=lambda c: (c.status, c.code))}


def _errors() -> Iterable[tuple[str, ...]]:
    for name, kind in errors().items():
        text = " ".join((kind.__doc__ or "").split())
        yield f"`{name}`", str(kind.status), str(kind.exit_code), f"`{kind.__name__}`", text
    for name, (status, text) in OTHER_CODES.items():
        yield f"`{name}`", status, "1", f"`{GatewayError.__name__}`", text


def _moves(to: Iterable[State]) -> str:
    there = set(to)
    return code(s for s in State if s in there) or "-"


def _end(name: ConditionName) -> str:
    if name in LASTING:
        return "never"
    return "when it no longer holds, and at the run's end" if name in OF_LIVE_RUNS else "when it no longer holds"


def _unused(name: str) -> str:
    return " This version does not give it." if name in NOT_GIVEN else ""


def _copies() -> Iterable[tuple[str, str]]:
    yield str(REVOKED_EXIT_CODE), "The gateway had seized the fence of this attempt."
    yield str(DUPLICATE_EXIT_CODE), "Another copy had passed the fence."
    yield str(NO_FENCE_EXIT_CODE), "There is neither a ticket nor a fence."
