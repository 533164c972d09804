"""Writes the pages: `python -m gateway.reference [DIRECTORY]`."""

import sys
from pathlib import Path

from gateway.reference.pages import DIRECTORY, write

if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY)
