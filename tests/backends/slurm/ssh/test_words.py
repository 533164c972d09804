import re
from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from backends.host.words import encode


@given(st.text(min_size=1))
def test_words_survive_any_shell(word: str) -> None:
    try:
        raw = word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that no file name gives
        return
    encoded = encode(word)
    assert re.fullmatch(r"[A-Za-z0-9._/=,:@+%-]+", encoded)
    assert unquote_to_bytes(encoded) == raw


def test_empty_word() -> None:
    assert encode("") == "%"


def test_bytes_that_are_no_text() -> None:
    assert encode(b"\xff".decode("utf-8", "surrogateescape")) == "%FF"
