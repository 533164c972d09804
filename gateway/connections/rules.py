"""What a kind of site takes: ways to log in, and what may be chosen. The kind says it, not the gateway."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends import registry
from backends.backend import LoginRules
from backends.errors import InvalidJob
from gateway.connections.credentials import METHODS
from gateway.errors import FieldProblem, InvalidInput

_WIRE = {method: name for name, method in METHODS.items()}
_USUAL = ("SSH-Key", "Username-Password", "Token")
_VALUE = re.compile(r"[^\s,:]{1,200}")
"""Several are written in one line, as `name:value,name:value`."""


@dataclass(frozen=True, slots=True)
class SiteRules:
    """`methods` as on the wire."""

    methods: Sequence[str]
    preferences: Sequence[str] = ()

    def check_method(self, site: str, method: str) -> None:
        """Raises InvalidInput."""
        if method not in self.methods:
            *others, last = self.methods
            fitting = f"{', '.join(others)} or {last}" if others else last
            raise InvalidInput(f"authMethod: site {site} takes {fitting}.")

    def check_preferences(self, site: str, preferences: Mapping[str, str]) -> None:
        """Raises InvalidInput with every name and value that cannot be; whether the site offers it shows a check."""
        takes = f"it takes {', '.join(self.preferences)}." if self.preferences else "leave it out."
        problems = [
            FieldProblem(f"preferences.{name}", f"site {site} takes no such choice; {takes}")
            for name in preferences
            if name not in self.preferences
        ]
        problems += [
            FieldProblem(f"preferences.{name}", "give one name, without spaces, `,` or `:`, or leave it out.")
            for name, value in preferences.items()
            if name in self.preferences and not _VALUE.fullmatch(value)
        ]
        if problems:
            raise InvalidInput("The connection is not valid.", problems=problems)


def rules_of(kind: str) -> SiteRules:
    """Of a kind that is not installed here: what most take."""
    if kind == "local":
        return SiteRules(("None",))
    try:
        found = registry.kind(kind)
    except InvalidJob:
        return SiteRules(_USUAL)
    if not isinstance(found, LoginRules):
        return SiteRules(_USUAL)
    return SiteRules([_WIRE[method] for method in found.methods], found.preferences)
