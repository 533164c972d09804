"""A Slurm site: `HostBackend` over SSH, and what Slurm tells at `check`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from backends.errors import BackendError, SiteUnavailable
from backends.host.backend import HostBackend
from backends.slurm.budgets import Budget, Budgets, UserAccounts, with_rest
from backends.slurm.partitions import Sinfo
from backends.slurm.version import Version
from backends.spec import Account, SiteInfo

LEVELS = 6
"""Accounts above an account that are asked for their budget."""


class SlurmBackend(HostBackend):
    """See `backends.backend.Backend`."""

    async def check(self) -> SiteInfo:
        """Raises SiteUnavailable when Slurm itself does not answer; accounting may be away, and a note says so."""
        info = await super().check()
        version, queues = await asyncio.gather(self._ask(Version()), self._ask(Sinfo()))
        accounts, notes = await self._accounts(info.user)
        return replace(info, version=version, queues=queues, accounts=accounts, notes=(*info.notes, *notes))

    async def _accounts(self, user: str) -> tuple[tuple[Account, ...], tuple[str, ...]]:
        try:
            accounts = await self._ask(UserAccounts(user))
        except SiteUnavailable as error:
            note = f"Slurm's accounting does not answer, so that accounts and past jobs are not known: {error.text}"
            return (), (note,)
        if not accounts:
            return (), (f"Slurm's accounting knows no account of {user}; the site may bill without one.",)
        try:
            budgets = await self._budgets([account.name for account in accounts])
        except BackendError as error:
            return accounts, (f"The site does not tell what is left of the budgets: {error.text}",)
        return tuple(with_rest(account, budgets) for account in accounts), ()

    async def _budgets(self, names: Sequence[str]) -> dict[str, Budget]:
        budgets: dict[str, Budget] = {}
        wanted, asked = list(names), {""}
        for _ in range(LEVELS):
            if not wanted:
                break
            asked |= set(wanted)
            found = await self._ask(Budgets(tuple(wanted)))
            budgets |= found
            wanted = sorted({budget.parent for budget in found.values()} - asked)
        return budgets
