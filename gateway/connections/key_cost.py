"""What it costs to open an encrypted private key, read from its header before anything is computed.

Whoever made the file chose the cost, and a file of 500 bytes may ask for years.
OpenSSH: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key, PKCS#8: RFC 5958 and RFC 8018.
"""

import struct

MAX_BCRYPT_ROUNDS = 64
MAX_PBKDF2_ITERATIONS = 1_000_000

_MAGIC = b"openssh-key-v1\0"
_PBES2 = bytes.fromhex("2a864886f70d01050d")
_PBKDF2 = bytes.fromhex("2a864886f70d01050c")
_INTEGER, _OCTETS, _OID, _SEQUENCE = 0x02, 0x04, 0x06, 0x30


class TooCostly(Exception):
    """The passphrase takes too long to work through, or nobody can tell how long."""


_HIGH = "its passphrase takes too many rounds to open; save it with fewer, or give it without a passphrase."
_UNCLEAR = "its kind of encryption is not known here; save it in OpenSSH's format, or give it without a passphrase."


def check_openssh_cost(data: bytes) -> None:
    """Raises TooCostly."""
    try:
        if not data.startswith(_MAGIC):
            raise TooCostly(_UNCLEAR)
        _, rest = _string(data[len(_MAGIC) :])
        kdf, rest = _string(rest)
        options, _ = _string(rest)
        if kdf == b"none":
            return
        if kdf != b"bcrypt":
            raise TooCostly(_UNCLEAR)
        _, rest = _string(options)
        (rounds,) = struct.unpack(">I", rest)
    except (struct.error, ValueError):
        raise TooCostly(_UNCLEAR) from None
    if rounds > MAX_BCRYPT_ROUNDS:
        raise TooCostly(_HIGH)


def check_pkcs8_cost(data: bytes) -> None:
    """Raises TooCostly, also for anything but PBES2 with PBKDF2."""
    try:
        info, _ = _inside(data, _SEQUENCE)
        algorithm, _ = _inside(info, _SEQUENCE)
        name, rest = _inside(algorithm, _OID)
        parameters, _ = _inside(rest, _SEQUENCE) if name == _PBES2 else (b"", b"")
        derivation, _ = _inside(parameters, _SEQUENCE)
        name, rest = _inside(derivation, _OID)
        if name != _PBKDF2:
            raise TooCostly(_UNCLEAR)
        values, _ = _inside(rest, _SEQUENCE)
        _, rest = _inside(values, _OCTETS)
        iterations, _ = _inside(rest, _INTEGER)
    except (IndexError, ValueError):
        raise TooCostly(_UNCLEAR) from None
    if int.from_bytes(iterations) > MAX_PBKDF2_ITERATIONS:
        raise TooCostly(_HIGH)


def _string(data: bytes) -> tuple[bytes, bytes]:
    """The first string of SSH's wire format, and the rest."""
    (length,) = struct.unpack(">I", data[:4])
    if len(data) < 4 + length:
        raise ValueError("cut short")
    return data[4 : 4 + length], data[4 + length :]


def _inside(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first DER element, which must have this tag, and what follows it."""
    length, start = data[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        if not 2 < start <= 6:
            raise ValueError("no definite length")
        length = int.from_bytes(data[2:start])
    if data[0] != tag or len(data) < start + length:
        raise ValueError("another element")
    return data[start : start + length], data[start + length :]
