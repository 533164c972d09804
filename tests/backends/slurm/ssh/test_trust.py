import asyncssh
import pytest

from backends.errors import SiteUnavailable
from backends.slurm.ssh.address import Address
from backends.slurm.ssh.trust import Trust, public_line

SITE = Address("login.centre.eu", 22)
JUMP = Address("jump.centre.eu", 2222)
ONE, TWO, CA = (asyncssh.generate_private_key("ssh-ed25519").convert_to_public() for _ in range(3))
LINES = (
    public_line(ONE),
    f"{public_line(TWO)} round-robin",
    f"jump.centre.eu {public_line(TWO)}",
    f"@cert-authority {public_line(CA)}",
    f"@cert-authority *.centre.eu {public_line(CA)}",
)


def test_unnamed_lines_are_for_the_site_itself() -> None:
    trust = Trust.of(LINES, SITE)
    assert trust.keys == (ONE, TWO)
    assert trust.authorities == (CA, CA)


def test_jump_has_its_own_keys() -> None:
    trust = Trust.of(LINES, JUMP, jump=True)
    assert trust.keys == (TWO,)
    assert trust.authorities == (CA,)


def test_name_with_port() -> None:
    assert Trust.of((f"[jump.centre.eu]:2222 {public_line(ONE)}",), JUMP, jump=True).keys == (ONE,)
    assert Trust.of((f"[jump.centre.eu]:22 {public_line(ONE)}",), JUMP, jump=True).keys == ()


@pytest.mark.parametrize("line", ["ssh-ed25519", "ssh-ed25519 AAAAnonsense", "", "@cert-authority"])
def test_unreadable_line_is_named(line: str) -> None:
    with pytest.raises(SiteUnavailable, match="cannot be read"):
        Trust.of((line,), SITE)


def test_refusal_shows_both_fingerprints_and_offers_the_key() -> None:
    error = Trust((ONE,)).refusal(SITE, TWO)
    assert TWO.get_fingerprint() in error.message
    assert ONE.get_fingerprint() in error.message
    assert error.text == public_line(TWO)


def test_first_contact() -> None:
    error = Trust().refusal(SITE, ONE)
    assert "not confirmed yet" in error.message
    assert ONE.get_fingerprint() in error.message
