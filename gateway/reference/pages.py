"""Which pages there are, and where they stand."""

from collections.abc import Callable, Mapping
from pathlib import Path

import compute_backend_configs.reference
import gateway.cli.reference
import gateway.schedules.reference
import gateway.tracking.reference
from gateway.reference import rest, settings, states

DIRECTORY = Path(__file__).parents[2] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": gateway.cli.reference.page,
    "compute-backend-config.md": compute_backend_configs.reference.page,
    "openapi.json": rest.document,
    "rest.md": rest.page,
    "schedules.md": gateway.schedules.reference.page,
    "settings.md": settings.page,
    "states-and-reasons.md": states.page,
    "tracking-routes.md": gateway.tracking.reference.page,
}


def write(directory: Path) -> None:
    """Bring every page up to date."""
    for name, text in PAGES.items():
        (directory / name).write_text(text(), encoding="utf-8")
