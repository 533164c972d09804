"""The schema and the reference page are written from the models, and are up to date."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from compute_backend_configs import json_schema, parse_config, reference, schema
from compute_backend_configs.findings import known_keys


def test_schema_is_up_to_date() -> None:
    assert schema.FILE.read_text(encoding="utf-8") == schema.schema_text(), (
        "run: python -m compute_backend_configs.schema compute_backend_configs/schema.json"
    )


def test_reference_is_up_to_date() -> None:
    assert reference.FILE.read_text(encoding="utf-8") == reference.page(), (
        "run: python -m compute_backend_configs.reference"
    )


@pytest.mark.parametrize(("module", "text"), [("schema", schema.schema_text), ("reference", reference.page)])
def test_both_run_as_modules(module: str, text: Callable[[], str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"compute_backend_configs.{module}", str(tmp_path / "target")],
        cwd=schema.FILE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "target").read_text(encoding="utf-8") == text()


def test_the_schema_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "compute_backend_configs.schema"],
        cwd=schema.FILE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, schema.schema_text(), "")


def test_every_key_is_described_and_on_the_page() -> None:
    page = reference.page()
    for title, model in reference.MODELS.items():
        section = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
        for field in model.model_fields.values():
            assert field.description, f"{title}.{field.alias} has no description"
            assert f"| `{field.alias}` |" in section


def test_the_example_on_the_page_is_valid() -> None:
    found = re.search(r"```yaml\n(.*?)```", reference.page(), re.DOTALL)
    assert found is not None
    assert parse_config(found[1]).warnings == ()
    assert set(yaml.safe_load(found[1])["Resources"]) <= set(known_keys(reference.MODELS["Resources"]))


def test_the_schema_asks_for_one_site_and_a_queue() -> None:
    shape = json_schema()
    assert [one["required"] for one in shape["oneOf"]] == [
        ["UnicoreApiUrl"],
        ["Firecrest"],
        ["SSH"],
        ["Local"],
        ["Site"],
    ]
    assert shape["anyOf"][1] == {"required": ["Resources"], "properties": {"Resources": {"required": ["Queue"]}}}
    assert shape["additionalProperties"] is False
    assert all(one.get("additionalProperties", False) is False for one in shape["$defs"].values()), (
        "a section of the schema takes unknown keys"
    )
