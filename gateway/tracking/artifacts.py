"""Paths of MLflow's artifact proxy: `<experiment>/<run>/artifacts/...` or `<experiment>/models/<model>/...`."""

import contextlib
import re
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.errors import InvalidInput

_EXPERIMENT = re.compile(r"[0-9]{1,20}")
_MOST_DECODINGS = 5


@dataclass(frozen=True, slots=True)
class ArtifactPath:
    experiment_id: str
    run_id: str | None
    """None for what is below the experiment but of no run."""
    logged_model_id: str | None
    gateways_own: bool
    """Config and script as submitted, kept in the directory `mantik` of a run: nobody else writes there."""


def parse(path: str) -> ArtifactPath:
    """Whose the path is. Raises InvalidInput for anything that could name another place than it seems to.

    MLflow decodes percent signs until none is left, so the check is made on what it will see in the end.
    """
    plain = _decoded(path)
    segments = plain.removesuffix("/").split("/")
    odd = any(s in ("", ".", "..") for s in segments)
    if odd or "\\" in plain or "#" in plain or any(ord(c) < 32 or ord(c) == 127 for c in plain):
        raise InvalidInput("The artifact path is not valid.")
    if not _EXPERIMENT.fullmatch(segments[0]) or segments[0] != path.split("/", 1)[0]:
        raise InvalidInput("The artifact path must begin with the id of its experiment.")
    owner = segments[1] if len(segments) > 1 else None
    if owner == "models":
        return ArtifactPath(segments[0], None, segments[2] if len(segments) > 2 else None, False)
    return ArtifactPath(segments[0], owner, None, segments[2:4] == ["artifacts", "mantik"])


def parse_relative(path: str) -> ArtifactPath:
    """For a path below a run or model, in a query: the same refusals, without an experiment in front."""
    return parse(f"0/run/artifacts/{path}")


def _decoded(path: str) -> str:
    with contextlib.suppress(UnicodeDecodeError):
        for _ in range(_MOST_DECODINGS):
            plain = unquote(path, errors="strict")
            if plain == path:
                return path
            path = plain
    raise InvalidInput("The artifact path is not valid.")
