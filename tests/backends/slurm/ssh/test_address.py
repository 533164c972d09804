import pytest

from backends.errors import SiteUnavailable
from backends.slurm.ssh.address import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("jump.centre.eu", Address("jump.centre.eu", 22)),
        ("jump.centre.eu:2222", Address("jump.centre.eu", 2222)),
        ("me@jump.centre.eu:2222", Address("jump.centre.eu", 2222, "me")),
        ("me@home@jump", Address("jump", 22, "me@home")),
        ("[::1]:2222", Address("::1", 2222)),
        ("::1", Address("::1", 22)),
    ],
)
def test_parse(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["", "me@", "host:ssh", "host:२२", ":22"])
def test_nonsense_is_named(text: str) -> None:
    with pytest.raises(SiteUnavailable, match=r"\[user@\]host\[:port\]"):
        Address.parse(text)
