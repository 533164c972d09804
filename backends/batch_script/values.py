"""Words that go into an `#SBATCH` line."""

import re

from backends.errors import InvalidJob
from backends.reasons import Reason

# No blank, quote, backslash, `#` or line end: sbatch would see a second option, a comment or another line.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+:/-]*")
_LIST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+:/,-]*")
_CONSTRAINT = re.compile(r"[A-Za-z0-9_(\[!][A-Za-z0-9_.@+:/,&|*!()\[\]=-]*")


def name(field: str, text: str) -> str:
    """One name. Raises InvalidJob (INVALID_CONFIG) that names the field."""
    return _checked(field, text, _NAME, "letters, digits and _ . @ + : / -")


def names(field: str, text: str) -> str:
    """One name or several with commas, as Slurm takes for queues and reservations."""
    return _checked(field, text, _LIST, "letters, digits and _ . @ + : / , -")


def constraint(field: str, text: str) -> str:
    """Slurm's expression of node features."""
    return _checked(field, text, _CONSTRAINT, "names joined by & | , * and brackets, without blanks")


def _checked(field: str, text: str, pattern: re.Pattern[str], allowed: str) -> str:
    if pattern.fullmatch(text) is None:
        raise InvalidJob(f"{field} cannot be {text[:80]!r}: Slurm takes {allowed}.", reason=Reason.INVALID_CONFIG)
    return text
