import json
from pathlib import Path

from tests.gateway.cli.conftest import Mantik
from tests.gateway.client.wire import Wire


def test_a_config_is_checked_without_the_gateway(mantik: Mantik, wire: Wire, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("Local: {}\nResources:\n  Queue: batch\n")
    done = mantik("configs", "check", "c.yaml")
    assert (done.code, done.out, done.err) == (0, "c.yaml: valid\n", "")
    file.write_text("Local: {}\nResources:\n  Queue: batch\n  Nodse: 2\n")
    done = mantik("configs", "check", "c.yaml")
    assert done.code == 1
    assert done.out.startswith("c.yaml:4: error: Resources.Nodse: ")
    assert done.out.endswith("\nc.yaml: not valid\n")
    done = mantik("configs", "check", "c.yaml", "-o", "json")
    assert done.code == 1
    assert json.loads(done.out)["problems"][0]["line"] == 4
    assert wire.asked == []
