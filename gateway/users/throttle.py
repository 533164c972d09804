"""Slowing down who guesses passwords: counted per name and per address, in the database."""

import hashlib
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Network, ip_address

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.errors import TooMany
from gateway.users.rows import LoginFailure

FORGOTTEN_AFTER = timedelta(hours=1)
NAME_FREE, NAME_LONGEST = 5, timedelta(minutes=5)
ADDRESS_FREE, ADDRESS_LONGEST = 20, timedelta(minutes=15)


def subject_of_name(name: str) -> str:
    """Hashed: people type passwords into the name's field."""
    return "name:" + hashlib.sha256(name.casefold().encode()).hexdigest()


def subject_of_address(address: str) -> str:
    """An IPv6 address counts by its /64, of which every host there may use each address."""
    try:
        found = ip_address(address)
    except ValueError:  # a name, or what a proxy says
        return f"address:{address}"
    if isinstance(found, IPv4Address):
        return f"address:{found}"
    if found.ipv4_mapped:
        return f"address:{found.ipv4_mapped}"
    return f"address:{IPv6Network((int(found), 64), strict=False)}"


async def begin(session: AsyncSession, subject: str) -> None:
    """Count an attempt before its password is looked at, so that many at once count as many.

    Raises TooMany with the time to come again; that attempt is not counted."""
    now = clock.now()
    row = (
        await session.scalars(select(LoginFailure).where(LoginFailure.subject == subject).with_for_update())
    ).one_or_none()
    if row is None:
        session.add(LoginFailure(subject=subject, count=1, last_at=now))
        await session.flush()
        return
    if row.last_at < now - FORGOTTEN_AFTER:
        row.count = 0
    free_at = row.last_at + _wait(subject, row.count)
    if free_at > now:
        raise TooMany("Too many failed logins.", next_step=f"Try again at {_clock_time(free_at)}.")
    row.count += 1
    row.last_at = now


async def succeeded(session: AsyncSession, name: str, address: str) -> None:
    """Forget the failures of a name; take back the attempt counted for the address."""
    await session.execute(delete(LoginFailure).where(LoginFailure.subject == subject_of_name(name)))
    await take_back(session, subject_of_address(address))


async def take_back(session: AsyncSession, subject: str) -> None:
    """The attempt was a success: it does not count."""
    row = await session.get(LoginFailure, subject, with_for_update=True)
    if row is not None:
        row.count = max(0, row.count - 1)


def _wait(subject: str, failures: int) -> timedelta:
    """Nothing at first, then 2, 4, 8 ... seconds up to the longest."""
    is_name = subject.startswith("name:")
    free, longest = (NAME_FREE, NAME_LONGEST) if is_name else (ADDRESS_FREE, ADDRESS_LONGEST)
    return min(longest, timedelta(seconds=2.0 ** min(failures - free + 1, 20))) if failures >= free else timedelta()


def _clock_time(time: datetime) -> str:
    """To the next full second, so that coming then is never too early."""
    return f"{time + timedelta(seconds=1):%H:%M:%S} UTC"
