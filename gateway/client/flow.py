"""What a client wants done, step by step, without doing it: one logic for the sync and the async client.

A flow is a generator. It yields `Send` or `Pause`; whoever drives it does that and sends back what came of it.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

import httpx

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """One HTTP request. With `stream` the body of a good answer is left unread in `Answer.stream`."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = field(default=None, repr=False)
    seconds: float = 30.0
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered, read to its end unless it streams."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str
    stream: httpx.Response | None = None

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer. `connect` and `tls`: the request was surely not sent; `lost`: nobody knows."""

    kind: Literal["connect", "tls", "lost"]
    text: str


Flow: TypeAlias = Generator[Send | Pause, Answer | Failure | None, T]


def failure(error: httpx.HTTPError) -> Failure:
    """Sort what httpx raises."""
    text = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol):
        tls = "CERTIFICATE_VERIFY" in text.upper() or "SSL" in text.upper() or "TLS" in text.upper()
        return Failure("tls" if tls else "connect", text)
    if isinstance(error, httpx.TimeoutException):
        return Failure("lost", "no answer in time")
    return Failure("lost", text)
