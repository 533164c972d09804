"""Host keys that a site lists, and what a server shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import asyncssh

from backends.errors import HostKeyRejected, SiteUnavailable
from backends.slurm.ssh.address import Address

CA_MARK = "@cert-authority"


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys and host CAs that one server may show."""

    keys: tuple[asyncssh.SSHKey, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()

    @classmethod
    def of(cls, lines: Sequence[str], address: Address, *, jump: bool = False) -> "Trust":
        """Pick the lines for one server. A line without a host name is for the site's own host, never for its jump."""
        keys: list[asyncssh.SSHKey] = []
        authorities: list[asyncssh.SSHKey] = []
        for line in lines:
            words = line.split()
            chosen = keys
            if words and words[0] == CA_MARK:
                chosen, words = authorities, words[1:]
            # The second word of `<type> <base64>` is the key itself, and every SSH key in base64 begins so.
            named = len(words) > 2 and not words[1].startswith("AAAA")
            if named and not _names(words[0], address):
                continue
            if not named and jump:
                continue
            try:
                chosen.append(asyncssh.import_public_key(" ".join(words[named : named + 2])))
            except (asyncssh.KeyImportError, ValueError) as error:
                raise SiteUnavailable(
                    f"A host key that the site lists for {address} cannot be read: {line[:60]!r}. Correct the site.",
                    text=str(error),
                ) from error
        return cls(tuple(keys), tuple(authorities))

    def refusal(self, address: Address, shown: asyncssh.SSHKey | None) -> HostKeyRejected:
        """Say what was shown and what was expected; `text` is the shown key itself, for an operator to confirm."""
        shows = fingerprint(shown) if shown is not None else "a key of another type than the site lists"
        listed = ", ".join(fingerprint(key) for key in (*self.keys, *self.authorities))
        if not listed:
            message = (
                f"The host key of {address} is not confirmed yet: it shows {shows}. An operator has to confirm it."
            )
        else:
            message = (
                f"The host key of {address} is not one that the site lists: it shows {shows}, the site lists {listed}. "
                "Nothing was sent. Ask the centre whether it changed its key, then confirm the new one."
            )
        return HostKeyRejected(message, text=public_line(shown) if shown is not None else "")


def _names(pattern: str, address: Address) -> bool:
    names = (address.host, f"[{address.host}]:{address.port}", str(address))
    return any(pattern == name or fnmatchcase(address.host, pattern) for name in names)


def fingerprint(key: asyncssh.SSHKey) -> str:
    """As `ssh-keygen -l` prints it."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def public_line(key: asyncssh.SSHKey) -> str:
    """`<type> <base64>`, the form that `Site.host_keys` has."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])
