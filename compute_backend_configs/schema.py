"""Writes `schema.json`: `python -m compute_backend_configs.schema [TARGET]`."""

import json
import sys
from pathlib import Path

from compute_backend_configs.shape import json_schema

FILE = Path(__file__).with_name("schema.json")


def schema_text() -> str:
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    target.write_text(schema_text(), encoding="utf-8")
