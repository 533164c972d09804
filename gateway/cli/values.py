"""Words of the command line that are KEY=VALUE, or name a file."""

from collections.abc import Sequence
from pathlib import Path

import click


def pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` words as a dict; the value may hold more `=`."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise usage(f"{option} {word}: give it as KEY=VALUE.")
        if key in found:
            raise usage(f"{option} {word}: {key} is given twice.")
        found[key] = value
    return found


def typed_pairs(option: str, words: Sequence[str]) -> dict[str, object]:
    """As `pairs`, the values read as JSON where they are JSON."""
    import json

    found: dict[str, object] = {}
    for key, value in pairs(option, words).items():
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def text_of(option: str, path: Path) -> str:
    """The text of a file."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise usage(f"{option} {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise usage(f"{option} {path}: is no text.") from None


def usage(message: str) -> click.UsageError:
    """An error in the command line."""
    return click.UsageError(message, click.get_current_context())
