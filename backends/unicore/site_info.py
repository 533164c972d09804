"""What a UNICORE server tells of itself, of the user and of its queues: `GET base` and `GET factories/...`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backends.spec import Account, Choice, Queue, SiteInfo
from backends.unicore.credentials import PREFERENCES, choice

FACTORY = "factories/default_target_system_factory"
FACTORY_FIELDS = "resources,remainingComputeTime,otherInfo"
CURRENT_PROJECT = "__CURRENT_PROJECT__"
"""Of a site that tells one figure and not which project it is for."""
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Limit:
    """What one resource of a queue may be: a range of whole numbers, or one of some words."""

    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(self.choices) if self.choices else f"{self.least} to {self.most}"


Partitions = Mapping[str, Mapping[str, Limit]]
"""Limits by queue and resource. Memory is in bytes, Runtime in seconds."""


def role_of(base: Mapping[str, Any]) -> str:
    """`anonymous`: the server knows the credential and has no account for it, or got none."""
    return str(_under(base, "client", "role").get("selected") or ANONYMOUS)


def submission_off(base: Mapping[str, Any]) -> str | None:
    """The site's own words while it takes no jobs; None while it does."""
    said = _under(base, "server", "jobSubmission")
    if said.get("enabled", True):
        return None
    return str(said.get("message") or "The site takes no jobs at present.")


def partitions_of(factory: Mapping[str, Any]) -> Partitions:
    """A resource whose limits are written in another way is left out: it is then not checked."""
    return {
        str(queue): {str(name): limit for name, told in resources.items() if (limit := _limit(told)) is not None}
        for queue, resources in _under(factory, "resources").items()
        if isinstance(resources, Mapping)
    }


def site_info(
    base: Mapping[str, Any], factory: Mapping[str, Any], *, host: str, work_directory: str, notes: tuple[str, ...] = ()
) -> SiteInfo:
    """`notes` of the caller come first. What the server leaves out is unknown, never zero."""
    partitions = partitions_of(factory)
    xlogin = _under(base, "client", "xlogin")
    return SiteInfo(
        user=str(xlogin.get("UID") or _under(base, "client").get("dn") or ""),
        host=host,
        version=f"UNICORE/X {_under(base, 'server').get('version') or 'of unknown version'}",
        work_directory=work_directory,
        queues=tuple(_queue(name, limits, len(partitions) == 1) for name, limits in partitions.items()),
        accounts=tuple(_accounts(partitions, _under(factory, "remainingComputeTime"))),
        notes=(*notes, *_notes(base, factory)),
        choices=tuple(_choices(_under(base, "client"))),
    )


def _choices(client: Mapping[str, Any]) -> Iterator[Choice]:
    for name in PREFERENCES:
        selected, offered = choice(client, name)
        if selected or offered:
            yield Choice(name, selected, offered)


def _queue(name: str, limits: Mapping[str, Limit], default: bool) -> Queue:
    most = {resource: limit.most for resource, limit in limits.items()}
    return Queue(
        name=name,
        default=default,
        max_seconds=most.get("Runtime"),
        max_nodes=most.get("Nodes"),
        cpus_per_node=most.get("CPUsPerNode"),
        memory_per_node=most.get("MemoryPerNode"),
        gpus_per_node=most.get("GPUsPerNode"),
    )


def _accounts(partitions: Partitions, budgets: Mapping[str, Any]) -> Iterator[Account]:
    """Projects that a queue takes, and those that have a budget. One figure without a name is told as a note."""
    allowed: dict[str, list[str]] = {}
    for queue, limits in partitions.items():
        for project in limits.get("Project", Limit()).choices:
            allowed.setdefault(project, []).append(queue)
    named = {str(project): told for project, told in budgets.items() if project != CURRENT_PROJECT}
    for project in (*allowed, *(project for project in named if project not in allowed)):
        told = named.get(project)
        remaining, unit = _budget(told)
        yield Account(project, queues=tuple(allowed.get(project, ())), remaining=remaining, unit=unit)


def _budget(told: Any) -> tuple[float | None, str]:
    """`{"remaining": "1200", "units": "core-h", "rel": "80"}`; -1 is unknown."""
    if not isinstance(told, Mapping):
        return None, ""
    try:
        remaining = float(told.get("remaining", -1))
    except (TypeError, ValueError):
        return None, ""
    return (None, "") if remaining < 0 else (remaining, str(told.get("units") or ""))


def _notes(base: Mapping[str, Any], factory: Mapping[str, Any]) -> Iterator[str]:
    off = submission_off(base)
    if off is not None:
        yield f"The site takes no jobs now: {off}"
    for name, state in _under(base, "server", "externalConnections").items():
        if not str(state).startswith("OK"):
            yield f"The server reports {name}: {state}"
    remaining, unit = _budget(_under(factory, "remainingComputeTime").get(CURRENT_PROJECT))
    if remaining is not None:
        yield f"{remaining:g} {unit or 'units'} are left on your project; the site does not tell on which."
    for name, text in _under(factory, "otherInfo").items():
        yield f"{name}: {text}"


def _limit(told: Any) -> Limit | None:
    if isinstance(told, list):
        return Limit(choices=tuple(map(str, told)))
    least, dash, most = str(told).partition("-")
    return Limit(int(least), int(most)) if dash and least.isdigit() and most.isdigit() else None


def _under(data: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for name in path:
        found = data.get(name) if isinstance(data, Mapping) else None
        data = found if isinstance(found, Mapping) else {}
    return data
