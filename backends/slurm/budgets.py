"""Compute budget accounts of a user: `sacctmgr` names them, `scontrol` knows what is left."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from backends.slurm.answers import said, unavailable
from backends.slurm.environment import command
from backends.spec import Account

_UNITS = {"cpu": "CPU minutes", "gres/gpu": "GPU minutes", "billing": "billing minutes", "node": "node minutes"}
_ASSOCIATION = re.compile(r"ClusterName=\S+ Account=(?P<account>\S+) UserName=(?P<user>[^\s(]*)")
_LIMIT = re.compile(r"(?P<name>[^,=\s]+)=(?P<limit>\d+)\((?P<used>\d+)\)")
_PARENT = re.compile(r"ParentAccount=(?P<parent>[^\s(]*)")


@dataclass(frozen=True, slots=True)
class UserAccounts:
    """Accounts that this user may bill, with the queues they are bound to."""

    user: str

    @property
    def argv(self) -> tuple[str, ...]:
        return command(
            *("sacctmgr", "--noheader", "--parsable2", "show", "user", f"name={self.user}", "withassoc"),
            "format=defaultaccount,account,partition",
        )

    def parse(self, code: int, stdout: str, stderr: str) -> tuple[Account, ...]:
        if code != 0:
            raise unavailable("sacctmgr", code, stderr)
        queues: dict[str, list[str]] = {}
        default = ""
        for line in stdout.splitlines():
            cells = line.split("|")
            if len(cells) == 3 and cells[1]:
                default = cells[0]
                queues.setdefault(cells[1], []).extend([cells[2]] if cells[2] else [])
        return tuple(Account(name, name == default, tuple(bound)) for name, bound in queues.items())


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of one account's limits (`GrpTRESMins`), and the account above it."""

    rests: tuple[tuple[float, str], ...] = ()
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Live from the controller; asked per level, for a whole site's associations can be tens of megabytes."""

    accounts: tuple[str, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        return command("scontrol", "show", "assoc_mgr", "flags=assoc", f"accounts={','.join(self.accounts)}")

    def parse(self, code: int, stdout: str, stderr: str) -> Mapping[str, Budget]:
        if code != 0:
            raise unavailable("scontrol", code, stderr or said(stdout))
        budgets: dict[str, Budget] = {}
        account = ""
        for line in stdout.splitlines():
            if match := _ASSOCIATION.match(line.strip()):
                account = match["account"] if not match["user"] else ""
            elif account and (parent := _PARENT.search(line)):
                budgets[account] = replace(budgets.get(account, Budget()), parent=parent["parent"])
            elif account and line.strip().startswith("GrpTRESMins="):
                rests = tuple(
                    (
                        float(limit["limit"]) - float(limit["used"]),
                        _UNITS.get(limit["name"], f"{limit['name']} minutes"),
                    )
                    for limit in _LIMIT.finditer(line.strip().removeprefix("GrpTRESMins="))
                )
                budgets[account] = replace(budgets.get(account, Budget()), rests=rests)
        return budgets


def with_rest(account: Account, budgets: Mapping[str, Budget]) -> Account:
    """The smallest rest of the account and all above it decides."""
    rests: list[tuple[float, str]] = []
    name, seen = account.name, set[str]()
    while name in budgets and name not in seen:
        seen.add(name)
        rests.extend(budgets[name].rests)
        name = budgets[name].parent
    if not rests:
        return account
    rest, unit = min(rests)
    return replace(account, remaining=max(rest, 0.0), unit=unit)
