"""Words that survive any login shell and any forced command."""

from urllib.parse import quote

PLAIN = "/=,:@+"
"""Beside letters, digits and `._-`; everything else travels as %XX."""


def encode(word: str) -> str:
    """Percent-encode one word; the empty one is a lone `%`, which no other word is.

    `surrogateescape` brings file names that are not UTF-8 back as the bytes they were.
    """
    return quote(word.encode("utf-8", "surrogateescape"), safe=PLAIN).replace("~", "%7E") or "%"
