"""What a site said of itself, as tables."""

from collections.abc import Mapping
from typing import Any

from gateway.cli.table import fields, table
from gateway.cli.text import duration, size

_QUEUES = ("QUEUE", "UP", "MAX TIME", "MAX NODES", "NODES", "CPUS", "MEMORY", "GPUS")
_ACCOUNTS = ("ACCOUNT", "QUEUES", "LEFT")


def site_info(found: Mapping[str, Any]) -> str:
    """User, work directory, queues with limits per node, accounts. What the site does not tell is left out."""
    inodes = found.get("freeInodes")
    free = size(found.get("freeBytes")) + (f", {inodes} files" if inodes is not None else "")
    parts = [
        fields(
            [
                ("User", found.get("user")),
                *((str(c.get("name")).capitalize(), _choice(c)) for c in found.get("choices") or [] if _choice(c)),
                ("Host", found.get("host")),
                ("Version", found.get("version")),
                ("Work directory", found.get("workDirectory")),
                ("Free there", free.removeprefix(", ")),
                ("Shared", {True: "yes", False: "no: compute nodes do not see it"}.get(found.get("sharedFileSystem"))),  # type: ignore[arg-type]
            ]
        )
    ]
    queues = found.get("queues") or []
    if queues:
        parts.append(table(_QUEUES, [_queue(q) for q in queues]))
    accounts = found.get("accounts") or []
    if accounts:
        parts.append(table(_ACCOUNTS, [_account(a) for a in accounts]))
    if any(x.get("default") for x in [*queues, *accounts]):
        parts.append("* taken when none is given")
    parts += [f"Note: {note}" for note in found.get("notes") or []]
    return "\n\n".join(parts)


def _choice(choice: Mapping[str, Any]) -> str:
    """What counts, and what else the user could choose; nothing where there is nothing to choose."""
    selected = str(choice.get("selected") or "")
    others = [str(other) for other in choice.get("offered") or [] if other != selected]
    return f"{selected or 'none'} (or: {', '.join(others)})" if others else ""


def _queue(queue: Mapping[str, Any]) -> list[object]:
    return [
        _starred(queue),
        "yes" if queue.get("up", True) else "no",
        duration(queue.get("maxSeconds")),
        queue.get("maxNodes"),
        queue.get("totalNodes"),
        queue.get("cpusPerNode"),
        size(queue.get("memoryPerNode")),
        queue.get("gpusPerNode"),
    ]


def _account(account: Mapping[str, Any]) -> list[object]:
    left = account.get("remaining")
    amount = "" if left is None else f"{left:g} {account.get('unit') or ''}".strip()
    return [_starred(account), ", ".join(account.get("queues") or []), amount]


def _starred(item: Mapping[str, Any]) -> str:
    return f"{item.get('name', '')}{'*' if item.get('default') else ''}"
