"""Private keys that were given: opened once, in a thread, and only where that costs little."""

import base64
import re
import struct
import textwrap

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.connections.keys import opened_private_key
from gateway.errors import InvalidInput

KEY = Ed25519PrivateKey.generate()
LOCKED = form.BestAvailableEncryption(b"word")
OPENSSH = KEY.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, LOCKED)
PKCS8 = KEY.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, LOCKED)


def data_of(pem: bytes) -> bytearray:
    return bytearray(base64.b64decode(b"".join(pem.splitlines()[1:-1])))


def pem_of(data: bytes, label: str) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(data).decode(), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def openssh_with(rounds: int) -> str:
    data = data_of(OPENSSH)
    place = data.index(b"bcrypt") + len("bcrypt") + 4
    place += 4 + struct.unpack(">I", data[place : place + 4])[0]
    data[place : place + 4] = struct.pack(">I", rounds)
    return pem_of(data, "OPENSSH PRIVATE KEY")


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = bytes([len(content)]) if len(content) < 128 else b"\x82" + struct.pack(">H", len(content))
    return bytes([tag]) + size + content


def pkcs8_with(iterations: int, kdf: str = "2a864886f70d01050c") -> str:
    salt, count = der(0x04, b"s" * 8), der(0x02, iterations.to_bytes(5))
    derivation = der(0x30, der(0x06, bytes.fromhex(kdf)), der(0x30, salt, count))
    aes = der(0x30, der(0x06, bytes.fromhex("60864801650304012a")), der(0x04, b"v" * 16))
    algorithm = der(0x30, der(0x06, bytes.fromhex("2a864886f70d01050d")), der(0x30, derivation, aes))
    return pem_of(der(0x30, algorithm, der(0x04, b"x" * 64)), "ENCRYPTED PRIVATE KEY")


@pytest.mark.parametrize("locked", [OPENSSH, PKCS8], ids=["openssh", "pkcs8"])
def test_a_key_is_opened_once_and_kept_without_its_passphrase(locked: bytes) -> None:
    opened = form.load_ssh_private_key(opened_private_key(locked.decode(), "word").encode(), None)
    assert isinstance(opened, Ed25519PrivateKey)
    assert opened.private_bytes_raw() == KEY.private_bytes_raw()


def test_a_key_without_passphrase_stays_as_it_is() -> None:
    plain = KEY.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
    assert opened_private_key(plain, None) == plain


@pytest.mark.parametrize(
    "locked", [openssh_with(65), openssh_with(2**32 - 1), pkcs8_with(1_000_001), pkcs8_with(2**39)]
)
def test_a_costly_passphrase_is_refused_before_it_is_tried(locked: str) -> None:
    with pytest.raises(InvalidInput, match=r"^privateKey: its passphrase takes too many rounds"):
        opened_private_key(locked, "word")


@pytest.mark.parametrize(
    "locked",
    [
        pkcs8_with(1, kdf="2b06010401da47040b"),  # scrypt
        pem_of(der(0x30, der(0x30, der(0x06, bytes.fromhex("2a864886f70d010c0103")))), "ENCRYPTED PRIVATE KEY"),
        pem_of(b"\x30\x80", "ENCRYPTED PRIVATE KEY"),
        pem_of(b"\x30", "ENCRYPTED PRIVATE KEY"),
        pem_of(b"openssh-key-v1\0\0\0", "OPENSSH PRIVATE KEY"),
    ],
)
def test_a_cost_that_cannot_be_told_is_refused(locked: str) -> None:
    with pytest.raises(InvalidInput, match=r"^privateKey: its kind of encryption is not known here"):
        opened_private_key(locked, "word")


def test_only_one_key_is_looked_at_and_opened() -> None:
    cheap = OPENSSH.decode()
    for text in (cheap + openssh_with(2**31), f"words\n{cheap}", re.sub("-----END.*", "", cheap)):
        with pytest.raises(InvalidInput, match="this is no private key"):
            opened_private_key(text, "word")


def test_a_wrong_passphrase_is_said() -> None:
    with pytest.raises(InvalidInput, match="does not open with it"):
        opened_private_key(OPENSSH.decode(), "other")
    with pytest.raises(InvalidInput, match="is encrypted; give its passphrase"):
        opened_private_key(OPENSSH.decode(), None)
