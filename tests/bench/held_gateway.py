"""`mantik serve` whose engine takes no run while a file is there.

python -m tests.bench.held_gateway FILE
"""

import sys
from pathlib import Path

from gateway.engine.engine import Engine
from gateway.serve import serve
from gateway.settings import load

FILE = Path(sys.argv[1])
_runs = Engine._runs


async def runs_unless_held(self: Engine) -> bool:
    return False if FILE.exists() else await _runs(self)


if __name__ == "__main__":
    Engine._runs = runs_unless_held  # type: ignore[method-assign]
    serve(load())
