"""What a dry run shows."""

import shlex
from typing import TYPE_CHECKING

from gateway.cli.output import as_yaml
from gateway.cli.table import fields
from gateway.cli.text import plain, visible

if TYPE_CHECKING:
    from gateway.schemas.runs import Preview


def preview_page(preview: "Preview") -> str:
    """Commands, script and warnings, as they would be sent."""
    parts = [
        fields(
            [
                ("Commit", preview.commit),
                ("Command", preview.command),
                ("Submit command", shlex.join(preview.submit_command)),
                ("Script SHA-256", preview.script_sha256),
            ]
        )
    ]
    parts += [f"Warning: {plain(w)}" for w in preview.warnings]
    for title, lines in (
        ("On the login node before", preview.login_commands_before),
        ("On the login node after", preview.login_commands_after),
    ):
        if lines:
            parts.append("\n".join([f"{title}:", *(f"  {visible(line)}" for line in lines)]))
    parts.append("Config:\n" + "\n".join(f"  {line}" for line in as_yaml(preview.config).splitlines()))
    parts.append(f"Job script:\n{visible(preview.script.rstrip())}")
    return "\n\n".join(parts)
