"""SSH keys of connections: made by the gateway, or given by the owner."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import InvalidInput

_PEM = serialization.Encoding.PEM
_OPENSSH = serialization.PrivateFormat.OpenSSH
_OPEN = serialization.NoEncryption()


def new_key_pair(comment: str) -> tuple[str, str]:
    """A private key in OpenSSH's format, and the line for `authorized_keys`."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(_PEM, _OPENSSH, _OPEN).decode()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    words = "".join(c if c.isalnum() or c in "-_.@" else "-" for c in comment)
    return private, f"{public.decode()} {words}"


def check_private_key(text: str, passphrase: str | None) -> None:
    """Raises InvalidInput that says what is wrong with the key, and never repeats it."""
    password = passphrase.encode() if passphrase else None
    load = (
        serialization.load_ssh_private_key
        if "BEGIN OPENSSH PRIVATE KEY" in text
        else serialization.load_pem_private_key
    )
    try:
        load(text.encode(), password)
    except TypeError:
        say = "is not encrypted; leave the passphrase out" if passphrase else "is encrypted; give its passphrase"
        raise InvalidInput(f"passphrase: the private key {say}.") from None
    except UnsupportedAlgorithm:
        raise InvalidInput(
            "privateKey: the gateway cannot open this kind of key; give one without a passphrase, or none at all and "
            "the gateway makes one."
        ) from None
    except ValueError:
        if passphrase:
            raise InvalidInput("passphrase: the private key does not open with it.") from None
        raise InvalidInput(
            "privateKey: this is no private key in OpenSSH or PEM format; give the whole file, from `-----BEGIN` on."
        ) from None
