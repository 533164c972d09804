"""How long a job may run."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from compute_backend_configs.fields import fault
from compute_backend_configs.node import show

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
LONGEST = 3_650 * 86_400
ALLOWED = "30m, 12h, 1d, 90s, 1d12h, HH:MM:SS or D-HH:MM:SS"
IN_UNITS = re.compile(
    r"(?:(\d{1,9})d)?\s*(?:(\d{1,9})h)?\s*(?:(\d{1,9})m(?:in)?)?\s*(?:(\d{1,9})s)?", re.ASCII | re.IGNORECASE
)
CLOCK = re.compile(r"(?:(\d{1,4})-(?=[01]?\d:|2[0-3]:))?(\d{1,5}):([0-5]\d):([0-5]\d)", re.ASCII)
BARE = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True, order=True)
class Duration:
    """A length of time in whole seconds; 0 leaves a limit to the queue."""

    seconds: int

    @classmethod
    def parse(cls, value: object) -> "Duration":
        """Reads what `Runtime` takes; a bare number is in seconds. Raises a field error."""
        if isinstance(value, Duration):
            return value
        seconds = _seconds(value)
        if seconds is None:
            raise fault(f"must be a length of time such as {ALLOWED}, not {show(value)}", value, ALLOWED)
        if seconds > LONGEST:
            raise fault(f"must be at most 3650 days, not {show(value)}", value, "at most 3650 days")
        return cls(seconds)

    def __str__(self) -> str:
        text, rest = "", self.seconds
        for unit, size in UNITS.items():
            count, rest = divmod(rest, size)
            text += f"{count}{unit}" if count else ""
        return text or "0"


def is_bare(value: object) -> bool:
    """Whether a value is a number without a unit; 0 needs none."""
    return not isinstance(value, bool) and BARE.fullmatch(str(value).strip()) is not None and int(str(value)) != 0


def _seconds(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    if BARE.fullmatch(text):
        return int(text)
    found = IN_UNITS.fullmatch(text) if text else None
    found = found or CLOCK.fullmatch(text)
    if not found:
        return None
    return sum(int(count or 0) * size for count, size in zip(found.groups(), UNITS.values(), strict=True))


SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}],
    "examples": ["30m", "12h", "1d12h", "12:30:00", "2-00:00:00"],
}
Runtime = Annotated[
    Duration, PlainValidator(Duration.parse), PlainSerializer(str, return_type=str), WithJsonSchema(SCHEMA)
]
