"""The base of all bodies, pages and error bodies."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class Wire(BaseModel):
    """An answer: camelCase on the wire; unknown keys of a newer server are ignored by the client."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Body(BaseModel):
    """A request: camelCase on the wire; unknown keys are errors, and so is NUL, which PostgreSQL stores in no text."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if _has_nul(value):
            raise ValueError("must not contain the character NUL.")
        return value


def _has_nul(value: object) -> bool:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str) and "\0" in item:
            return True
        if isinstance(item, dict):
            left += [*item, *item.values()]
        elif isinstance(item, list | tuple):
            left += item
    return False


class Page(Wire, Generic[T]):
    """One page of a listing; `next_cursor` brings the next one, None at the end."""

    items: list[T]
    next_cursor: str | None = None


class InvalidField(Wire):
    field: str
    message: str


class Problem(Wire):
    """An error, RFC 9457, with `detail` for people and `code` for programs."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str = ""
    next_step: str = ""
    errors: list[InvalidField] = []
