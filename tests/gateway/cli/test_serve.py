import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.gateway.cli.conftest import Mantik


def test_the_options_become_settings(mantik: Mantik, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    server = ModuleType("gateway.serve")
    server.serve = seen.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gateway.serve", server)
    done = mantik("serve", "--host", "127.0.0.2", "--port", "9001", "--data-dir", str(tmp_path))
    assert done.code == 0
    assert (seen[0].host, seen[0].port, seen[0].data_dir) == ("127.0.0.2", 9001, tmp_path)


def test_without_the_server_it_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'pydantic_settings': raise ModuleNotFoundError(f'No module named {name}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from gateway.cli.main import main\n"
        "sys.exit(main(['serve']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        2,
        "Error: The server is not installed here (pydantic_settings is missing).\n"
        "Next: Install it: pip install 'mantik-gateway[server]'\n",
    )


def test_our_own_missing_module_is_no_missing_server(mantik: Mantik, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name}", name=name)

    monkeypatch.setattr("gateway.cli.serve.importlib", SimpleNamespace(import_module=load))
    done = mantik("serve")
    assert (done.code, done.err.splitlines()[0]) == (
        1,
        "Error: Something unexpected went wrong in mantik (ModuleNotFoundError).",
    )
