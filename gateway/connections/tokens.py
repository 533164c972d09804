"""What is kept of a login whose tokens end."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gateway import clock
from gateway.connections.issuers import Tokens

LAST = timedelta(seconds=5)
"""A token that its issuer does not renew just now is used until so shortly before its end."""
JUST_ISSUED = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class TokenDocument:
    """In the vault. A new refresh token comes with nothing but the secret of its client."""

    refresh_token: str = field(repr=False)
    client_secret: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    """The access token."""
    issued_at: datetime | None = None
    renew_at: datetime | None = None
    ends_at: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> "TokenDocument":
        values = json.loads(text)
        times = {name: values[name] and datetime.fromisoformat(values[name]) for name in _TIMES}
        return cls(values["refresh_token"], values["client_secret"], values["secret"], **times)

    def text(self) -> str:
        times = {name: at.isoformat() if (at := getattr(self, name)) else None for name in _TIMES}
        values = {"refresh_token": self.refresh_token, "client_secret": self.client_secret, "secret": self.secret}
        return json.dumps(values | times)

    def renewed(self, tokens: Tokens) -> "TokenDocument":
        """An issuer that sends no new refresh token goes on with the old one."""
        return replace(
            self,
            refresh_token=tokens.refresh or self.refresh_token,
            secret=tokens.access,
            issued_at=tokens.issued_at,
            renew_at=tokens.renew_at,
            ends_at=tokens.ends_at,
        )

    @property
    def is_fresh(self) -> bool:
        return self.secret is not None and self.renew_at is not None and clock.now() < self.renew_at

    @property
    def is_usable(self) -> bool:
        return self.secret is not None and self.ends_at is not None and clock.now() + LAST < self.ends_at

    @property
    def is_just_issued(self) -> bool:
        """To ask for another one would bring nothing better."""
        return self.issued_at is not None and clock.now() < self.issued_at + JUST_ISSUED


_TIMES = ("issued_at", "renew_at", "ends_at")
