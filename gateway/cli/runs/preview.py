"""What a dry run shows."""

import shlex
from typing import TYPE_CHECKING

from gateway.cli.output import as_yaml
from gateway.cli.table import fields
from gateway.cli.text import hours, plain, visible

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
                ("Worst case", _worst_case(preview)),
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


def _worst_case(preview: "Preview") -> str | None:
    worst = preview.worst_case
    if worst is None:
        return None
    pairs = ((worst.core_hours, "core-hours"), (worst.gpu_hours, "GPU-hours"))
    text = ", ".join(f"{hours(value)} {unit}" if value is not None else f"unknown {unit}" for value, unit in pairs)
    return f"{text} (not given: {', '.join(worst.missing)})" if worst.missing else text
