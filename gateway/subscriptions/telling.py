"""From something that happened to one delivery for each subscription that asked for it: in the caller's transaction."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.db.lease import later, want
from gateway.projects.rows import Member
from gateway.subscriptions.rows import Delivery, Subscription
from gateway.subscriptions.words import DeliveryState, EventName, Kind
from gateway.users.rows import User

PREFIX = "subscription:"
"""Of the named leases under which the messages of one subscription are sent; its kind and its id follow."""
ROWS_AT_ONCE = 500
MOST_LETTERS = 100


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a user may want to know. `key` names it: each subscription is told of it once."""

    event: EventName
    key: str
    at: datetime
    text: str
    """One plain sentence, without a word of a log, a site or a secret."""
    owner_id: uuid.UUID
    """Whose own it is."""
    project_id: uuid.UUID | None = None
    run_id: uuid.UUID | None = None
    schedule_id: uuid.UUID | None = None
    connection_id: uuid.UUID | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Wish:
    subscription_id: uuid.UUID
    user_id: uuid.UUID
    project_id: uuid.UUID | None
    events: Sequence[str]
    kind: str

    def takes(self, told: Happening) -> bool:
        mine = told.owner_id == self.user_id if self.project_id is None else told.project_id == self.project_id
        return mine and told.event in self.events


async def tell(session: AsyncSession, happenings: Sequence[Happening]) -> int:
    """Make the deliveries that are not there yet; how many. They exist if and only if the transaction is committed.

    One query when nobody asked for it, none without happenings. No network."""
    wishes = await _wishes(session, happenings) if happenings else []
    # In one order, so that gateways that tell the same do not wait for each other in a ring.
    rows = sorted(_rows(wishes, happenings), key=lambda row: (row["subscription_id"], row["key"]))
    told: list[uuid.UUID] = []
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    for part in _parts(rows):
        statement = insert(Delivery).values([row | {"due_at": later(session, 0)} for row in part])
        same = [Delivery.subscription_id, Delivery.key]
        made = statement.on_conflict_do_nothing(index_elements=same).returning(Delivery.subscription_id)
        told += await session.scalars(made)
    kinds = {wish.subscription_id: wish.kind for wish in wishes}
    for name in sorted({lease_name(kinds[subscription_id], subscription_id) for subscription_id in told}):
        await want(session, name, 0)
    return len(told)


def lease_name(kind: str, subscription_id: uuid.UUID) -> str:
    """Of the lease under which the messages of a subscription are sent. A subscription keeps its kind."""
    return f"{prefix_of(kind)}{subscription_id}"


def prefix_of(kind: str) -> str:
    """Of the leases of one kind, which are counted apart."""
    return f"{PREFIX}{Kind(kind)}:"


def login_key(connection_id: uuid.UUID, version: int, at: datetime) -> str:
    """A login that is needed is told once a day and version of the credential, however many runs wait for it."""
    return f"login:{connection_id}:{version}:{at:%Y-%m-%d}"


def one_line(text: str, most: int = MOST_LETTERS) -> str:
    """A name that somebody gave, as it may stand in a sentence."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= most else f"{words[: most - 3]}..."


async def _wishes(session: AsyncSession, happenings: Sequence[Happening]) -> list[_Wish]:
    """Of users who may know. They are kept from being deleted until the end of the transaction."""
    owners = {told.owner_id for told in happenings}
    projects = {told.project_id for told in happenings if told.project_id is not None}
    member = and_(Member.project_id == Subscription.project_id, Member.user_id == Subscription.user_id)
    own = and_(Subscription.project_id.is_(None), Subscription.user_id.in_(owners))
    shared = and_(Subscription.project_id.in_(projects), Member.role.is_not(None))
    found = await session.execute(
        select(Subscription.id, Subscription.user_id, Subscription.project_id, Subscription.events, Subscription.kind)
        .join(User, User.id == Subscription.user_id)
        .join(Member, member, isouter=True)
        .where(Subscription.enabled, User.disabled_at.is_(None), or_(own, shared))
        .order_by(Subscription.id)
        .with_for_update(read=True, key_share=True, of=Subscription)
    )
    return [_Wish(*row) for row in found]


def _rows(wishes: Sequence[_Wish], happenings: Sequence[Happening]) -> Iterator[dict[str, Any]]:
    now = clock.now()
    for wish in wishes:
        for told in filter(wish.takes, happenings):
            yield {
                "id": uuid.uuid4(),
                "created_at": now,
                "subscription_id": wish.subscription_id,
                "key": told.key,
                "event": told.event,
                "at": told.at,
                "text": told.text,
                "reason": told.reason,
                "project_id": told.project_id,
                "run_id": told.run_id,
                "schedule_id": told.schedule_id,
                "connection_id": told.connection_id,
                "state": DeliveryState.WAITING,
                "attempts": 0,
            }


def _parts(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield rows[start : start + ROWS_AT_ONCE]
