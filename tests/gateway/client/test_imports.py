import subprocess
import sys

import pytest

SERVER = ["sqlalchemy", "fastapi", "mlflow", "backends", "uvicorn", "pydantic_settings", "alembic", "asyncssh"]
AT_HELP = [*SERVER, "httpx", "pydantic", "rich", "yaml", "click"]


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import gateway.client", SERVER),
        ("import gateway.cli.main", AT_HELP),
        ("from gateway.cli.main import main; main(['--help'])", AT_HELP),
        ("from gateway.cli.main import main; main(['runs', '--help'])", AT_HELP[:-1]),
        ("from gateway.cli.main import main; main(['runs', 'list'])", SERVER),
        ("from gateway.cli.main import main; main(['serve', '--help'])", AT_HELP[:-1]),
    ],
)
def test_what_an_import_brings(statement: str, absent: list[str]) -> None:
    code = f"import sys\n{statement}\nsys.stderr.write(repr(sorted({set(absent)!r} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("[]")
