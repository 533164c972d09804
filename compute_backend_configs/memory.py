"""How much memory a job gets."""

import re
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from compute_backend_configs.fields import fault
from compute_backend_configs.node import show

UNITS = {"P": 1024**5, "T": 1024**4, "G": 1024**3, "M": 1024**2, "K": 1024, "B": 1}
LARGEST = 1024**6
ALLOWED = "16G, 500M, 16 GiB or 1.5T"
WRITTEN = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*(?:([KMGTP])(?:i?B)?|(B))?", re.ASCII | re.IGNORECASE)
BARE = re.compile(r"\d{1,18}(?:\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True, order=True)
class MemorySize:
    """An amount of memory. Units are binary: 1G is 1024M, as Slurm reads them, with or without an `iB`."""

    bytes: int

    @classmethod
    def parse(cls, value: object) -> "MemorySize":
        """Reads what `MemoryPerNode` takes; a bare number is in MiB. Raises a field error."""
        if isinstance(value, MemorySize):
            return value
        found = None
        if isinstance(value, str | int) and not isinstance(value, bool):
            found = WRITTEN.fullmatch(str(value).strip())
        if not found:
            raise fault(f"must be an amount of memory such as {ALLOWED}, not {show(value)}", value, ALLOWED)
        unit = (found[2] or found[3] or "M").upper()
        size = ceil(Decimal(found[1]) * UNITS[unit])
        if not 0 < size <= LARGEST:
            raise fault(f"must be more than 0 and at most 1024P, not {show(value)}", value, ALLOWED)
        return cls(size)

    @property
    def mebibytes(self) -> int:
        """In MiB, rounded up: what Slurm's `--mem` counts in."""
        return -(-self.bytes // UNITS["M"])

    def __str__(self) -> str:
        unit = next(unit for unit, size in UNITS.items() if self.bytes % size == 0)
        return f"{self.bytes // UNITS[unit]}{unit}"


def is_bare(value: object) -> bool:
    """Whether a value is a number without a unit."""
    return not isinstance(value, bool) and BARE.fullmatch(str(value).strip()) is not None


SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}],
    "examples": ["16G", "500M", "16 GiB", "1.5T"],
}
Memory = Annotated[
    MemorySize, PlainValidator(MemorySize.parse), PlainSerializer(str, return_type=str), WithJsonSchema(SCHEMA)
]
