"""`mantik`: the first page without any import, everything else with click."""

import os
import sys
from collections.abc import Sequence

from gateway.cli import front


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given in ([], ["--help"], ["-h"]) and "_MANTIK_COMPLETE" not in os.environ:
        sys.stdout.write(front.page())
        return 0
    from gateway.cli.application import run

    return run(given)


if __name__ == "__main__":
    sys.exit(main())
