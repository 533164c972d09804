"""SSH keys of connections: made by the gateway, or given by the owner."""

import base64
import binascii
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.connections.key_cost import TooCostly, check_openssh_cost, check_pkcs8_cost
from gateway.errors import InvalidInput

_PEM = serialization.Encoding.PEM
_OPENSSH = serialization.PrivateFormat.OpenSSH
_OPEN = serialization.NoEncryption()
_BLOCK = re.compile(r"-----BEGIN (?P<label>[A-Z0-9 ]+)-----\n(?P<body>[^-]+(?:-[^-]+)*)-----END (?P=label)-----")
_UNKNOWN = "privateKey: this is no private key in OpenSSH or PEM format; give the whole file, from `-----BEGIN` on."
_UNSUPPORTED = (
    "privateKey: the gateway cannot open this kind of key; give one without a passphrase, or none at all and "
    "the gateway makes one."
)


def new_key_pair(comment: str) -> tuple[str, str]:
    """A private key in OpenSSH's format, and the line for `authorized_keys`."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(_PEM, _OPENSSH, _OPEN).decode()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    words = "".join(c if c.isalnum() or c in "-_.@" else "-" for c in comment)
    return private, f"{public.decode()} {words}"


def opened_private_key(text: str, passphrase: str | None) -> str:
    """The key without its passphrase, so that the passphrase is worked through once and never again.

    Takes up to seconds of a core: call it in a thread. Raises InvalidInput that says what is wrong with the key, and
    never repeats it."""
    label, block = _checked_block(text)
    password = passphrase.encode() if passphrase else None
    load = serialization.load_ssh_private_key if label == "OPENSSH PRIVATE KEY" else serialization.load_pem_private_key
    try:
        key = load(block.encode(), password)
        return text if password is None else key.private_bytes(_PEM, _OPENSSH, _OPEN).decode()
    except TypeError:
        say = "is not encrypted; leave the passphrase out" if passphrase else "is encrypted; give its passphrase"
        raise InvalidInput(f"passphrase: the private key {say}.") from None
    except UnsupportedAlgorithm:
        raise InvalidInput(_UNSUPPORTED) from None
    except ValueError:
        if passphrase:
            raise InvalidInput("passphrase: the private key does not open with it.") from None
        raise InvalidInput(_UNKNOWN) from None


def _checked_block(text: str) -> tuple[str, str]:
    """The label and the only PEM block of a text, which costs little to open."""
    match = _BLOCK.fullmatch(text.replace("\r\n", "\n").strip())
    if match is None or "-----" in match["body"]:
        raise InvalidInput(_UNKNOWN)
    label, body = match["label"], match["body"]
    if "DEK-Info:" in body and label != "ENCRYPTED PRIVATE KEY" and "OPENSSH" not in label:
        return label, match[0]  # the old form of PEM: one round of MD5, always
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(_UNKNOWN) from None
    try:
        if label == "OPENSSH PRIVATE KEY":
            check_openssh_cost(data)
        elif label == "ENCRYPTED PRIVATE KEY":
            check_pkcs8_cost(data)
    except TooCostly as error:
        raise InvalidInput(f"privateKey: {error}") from None
    # What is opened is what was looked at, however another parser would read the text.
    packed = base64.b64encode(data).decode()
    lines = "\n".join(packed[i : i + 64] for i in range(0, len(packed), 64))
    return label, f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"
