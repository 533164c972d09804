"""One call of the API: what is sent, how the answer is read, whether it may be sent again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel

from gateway.client.flow import Send
from gateway.schemas.wire import Page

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_SAFE = frozenset({"GET", "PUT", "DELETE"})
PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """`key` (Idempotency-Key) is made once per call, so that a POST may be sent again as well."""

    method: str
    path: str
    read: Callable[[bytes], T]
    query: Mapping[str, object] = field(default_factory=dict)
    body: BaseModel | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    repeatable: bool | None = None
    """None: by the method, and every call that has a key."""
    seconds: float = 30.0
    stream: bool = False

    @property
    def may_repeat(self) -> bool:
        return self.repeatable if self.repeatable is not None else self.method in _SAFE or self.key is not None

    def request(self, token: str | None) -> Send:
        """The request, with the token where there is one."""
        headers = {"Accept": "application/json", **self.headers}
        content = None
        if self.body is not None:
            content = self.body.model_dump_json(by_alias=True, exclude_none=True).encode()
            headers["Content-Type"] = "application/json"
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return Send(self.method, self.path, _pairs(self.query), headers, content, self.seconds, self.stream)


def nothing(_: bytes) -> None:
    """For answers without a body."""


def get(path: str, view: type[M], **query: object) -> Call[M]:
    return Call("GET", path, view.model_validate_json, query)


def page(path: str, view: type[M], cursor: str | None, **query: object) -> Call[Page[M]]:
    """One page of a listing."""
    query = {"limit": PAGE_SIZE, **query, "cursor": cursor}
    return Call("GET", path, Page[view].model_validate_json, query)  # type: ignore[valid-type]  # a class at run time


def post(path: str, view: type[M], body: BaseModel | None = None, *, seconds: float = 30.0, **query: object) -> Call[M]:
    return Call("POST", path, view.model_validate_json, query, body, seconds=seconds)


def put(path: str, view: type[M], body: BaseModel) -> Call[M]:
    return Call("PUT", path, view.model_validate_json, body=body)


def delete(path: str, **query: object) -> Call[None]:
    return Call("DELETE", path, nothing, query)


def _pairs(query: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Left out: None and False. A list repeats its key."""
    found: list[tuple[str, str]] = []
    for name, value in query.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if one is not None and one is not False:
                found.append((name, "true" if one is True else str(one)))
    return tuple(found)
