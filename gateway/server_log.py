"""What `mantik serve` writes to stderr."""

import logging
import sys
import time

OURS = ("gateway", "backends")
REQUESTS = "uvicorn.access"
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start_log(level: str) -> None:
    """One line each for what the gateway does, at `level` and above; of the libraries warnings and above.

    At `debug` also one line per request: time, caller's address, method, path and status."""
    lowest = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(lowest, logging.WARNING))
    for name in OURS:
        logger = logging.getLogger(name)
        # `mantik serve -v` has given it a handler of its own.
        logger.handlers, logger.propagate = [], True
        logger.setLevel(min(lowest, logger.level or lowest))
    logging.getLogger(REQUESTS).setLevel(logging.INFO if logs_requests(level) else logging.WARNING)


def logs_requests(level: str) -> bool:
    return level == "debug"
