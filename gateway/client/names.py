"""Things by id or by name."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel

from gateway.client import call
from gateway.client.flow import Flow
from gateway.client.session import Session
from gateway.errors import Conflict, NotFound
from gateway.schemas.wire import Page

V = TypeVar("V", bound=BaseModel)

Ref = str | UUID
"""An id, or a name."""
Place = Callable[[], Flow[str]]
"""The path of a listing; finding it may take calls of its own."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[V]):
    """What a listing holds. `command` shows it to a user of the command line."""

    noun: str
    view: type[V]
    id: Callable[[V], UUID]
    name: Callable[[V], str]
    command: str


def as_id(ref: Ref) -> UUID | None:
    if isinstance(ref, UUID):
        return ref
    try:
        return UUID(ref)
    except ValueError:
        return None


def find(session: Session, kind: Kind[V], path: str, ref: Ref) -> Flow[V]:
    """The thing with this id or name. Raises NotFound with the nearest name, Conflict when several have the name."""
    found = as_id(ref)
    if found is not None:
        return (yield from session.perform(call.get(f"{path}/{found}", kind.view)))
    names: dict[str, list[V]] = {}
    cursor: str | None = None
    while True:
        page: Page[V] = yield from session.perform(call.page(path, kind.view, cursor))
        for item in page.items:
            names.setdefault(kind.name(item), []).append(item)
        cursor = page.next_cursor
        if cursor is None:
            break
    matches = names.get(str(ref), [])
    if len(matches) == 1:
        return matches[0]
    if matches:
        ids = ", ".join(str(kind.id(m)) for m in matches)
        raise Conflict(f"Several {kind.noun}s are named {ref}: {ids}.", next_step="Give the id.")
    near = difflib.get_close_matches(str(ref), names, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise NotFound(f"There is no {kind.noun} named {ref}.{hint}", next_step=f"To see them: {kind.command}")


def find_id(session: Session, kind: Kind[V], path: str, ref: Ref) -> Flow[UUID]:
    """As `find`; an id is believed, and a name is looked up once."""
    known = as_id(ref) or session.ids.get((path, str(ref)))
    if known is None:
        known = kind.id((yield from find(session, kind, path, ref)))
        session.ids[path, str(ref)] = known
    return known
