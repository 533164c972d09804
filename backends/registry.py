"""The kinds of site that are installed, by the entry-point group `mantik.backends`."""

from functools import cache
from importlib.metadata import entry_points

from backends.backend import BackendKind
from backends.errors import InvalidJob
from backends.reasons import Reason

GROUP = "mantik.backends"


def names() -> list[str]:
    """Every installed kind."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


@cache
def kind(name: str) -> BackendKind:
    """The kind of a name. Raises InvalidJob that names those there are, or what to install."""
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        known = ", ".join(names())
        raise InvalidJob(f"There is no kind of site {name!r}. Installed: {known}.", reason=Reason.INVALID_CONFIG)
    try:
        loaded: BackendKind = found[0].load()
    except ImportError as error:
        message = f"The kind of site {name!r} cannot be used: {error}. Install its extra, mantik-gateway[{name}]."
        raise InvalidJob(message, reason=Reason.INVALID_CONFIG) from None
    return loaded
