"""The `mantik` commands that a text shows, checked against those there are."""

import re
import shlex
from collections.abc import Iterator

import click

from gateway.cli.application import application

_BLOCK = re.compile(r"^```(?P<kind>[a-z]*)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
_SHELL = ("", "sh", "bash", "console")
_INLINE = re.compile(r"`(mantik [^`\n]+)`")
_STATEMENT = re.compile(r"(?:^|[\s(;&|])mantik[ \t]+([^\n]*)")
_PLACEHOLDER = re.compile(r"\.\.\.|^[A-Z]+$|COMMAND")
ROOT = application()


def shown(text: str) -> Iterator[str]:
    """Every command line of the shell blocks, and every one in running text."""
    for block in _BLOCK.finditer(text):
        if block["kind"] in _SHELL:
            for line in block["text"].replace("\\\n", " ").splitlines():
                yield from (found[1] for found in _STATEMENT.finditer(line.partition(" #")[0]))
    for found in _INLINE.finditer(_BLOCK.sub("", text)):
        yield found[1].removeprefix("mantik ")


def problem(line: str) -> str | None:
    """What is wrong with the words after `mantik`; None when there is such a command with such options."""
    words = _words(line)
    command: click.Command = ROOT
    path = "mantik"
    while isinstance(command, click.Group):
        if not words or words[0] in ("--help", "-h", "--version") or _PLACEHOLDER.search(words[0]):
            return None
        context = click.Context(command, **command.context_settings)
        choices = words[0].split("|") if "|" in words[0] else [words[0]]
        found = [command.get_command(context, name) for name in choices]
        if None in found:
            return f"there is no command {path} {words[0]}"
        path, words, command = f"{path} {words[0]}", words[1:], found[0] or command
    return _options(command, path, [w for w in words if w != "..." and w[0] not in "[{"])


def _words(line: str) -> list[str]:
    """Up to the end of the command: a pipe, a redirection, the parenthesis of `$(...)`."""
    depth, end = 0, len(line)
    for at, sign in enumerate(line):
        depth += (sign == "(") - (sign == ")")
        if depth < 0 or (depth == 0 and sign in ";&><" and line[at - 1] == " ") or line[at : at + 3] == " | ":
            end = at
            break
    return shlex.split(line[:end])


def _options(command: click.Command, path: str, words: list[str]) -> str | None:
    context = click.Context(command, info_name=path, **command.context_settings)
    try:
        _, left, _ = command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        return f"{path}: {error.format_message()}"
    return f"{path}: too many words: {left}" if left else None
