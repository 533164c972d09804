"""The page `docs/reference/cli.md`, made of the commands: python -m gateway.cli.reference > docs/reference/cli.md"""

from collections.abc import Iterator

import click

from gateway.cli.application import application
from gateway.cli.failures import EXIT_CODES

_TOP = """\
# The command line

Made by `python -m gateway.cli.reference`; do not edit.

Results go to stdout, everything else to stderr. Projects, repositories, sites and connections are named by id or name.
"""


def commands(root: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below, with its words."""
    pending: list[tuple[tuple[str, ...], click.Command]] = [(("mantik",), root)]
    while pending:
        path, command = pending.pop(0)
        yield path, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
            pending[:0] = [((*path, name), child) for name, child in found if child is not None]


def page() -> str:
    """The whole page."""
    parts = [_TOP]
    for path, command in commands(application()):
        if not isinstance(command, click.Group):
            parts.append(_command(path, command))
    rows = "\n".join(f"| {code} | {text} |" for code, text in EXIT_CODES.items())
    text = "`runs submit`, `runs logs` and `runs wait` end with the exit code of the run when it has one.\n"
    parts.append(f"## Exit codes\n\n{text}\n| code | meaning |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def _command(path: tuple[str, ...], command: click.Command) -> str:
    words = " ".join(path)
    context = click.Context(command, info_name=words, **command.context_settings)
    usage = f"{words} {' '.join(command.collect_usage_pieces(context))}"
    parts = [f"## {words}", f"```\n{usage}\n```", _text(command.help or "")]
    rows = [option.get_help_record(context) for option in command.get_params(context)]
    listed = [f"| `{names}` | {_cell(text)} |" for names, text in (row for row in rows if row is not None)]
    if listed:
        parts.append("\n".join(["| option | meaning |", "|---|---|", *listed]))
    return "\n\n".join(parts) + "\n"


def _text(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    click.echo(page(), nl=False)
