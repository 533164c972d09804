"""Prints the JSON Schema: `python -m compute_backend_configs.schema`; with a TARGET it is written there."""

import json
import sys
from pathlib import Path

from compute_backend_configs.shape import json_schema

FILE = Path(__file__).with_name("schema.json")


def schema_text() -> str:
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(schema_text(), encoding="utf-8")
    else:
        sys.stdout.write(schema_text())
