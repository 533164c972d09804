"""A credential source that counts, and keys made for tests."""

import asyncssh

from backends.errors import AuthenticationFailed
from backends.spec import Credential


class Credentials:
    """Like the gateway's: a refused version is never given out again."""

    def __init__(self, credential: Credential) -> None:
        self.current = credential
        self.refusals: list[int] = []

    async def get(self) -> Credential:
        if self.current.version in self.refusals:
            raise AuthenticationFailed("This version of the credential was refused.")
        return self.current

    async def refused(self, credential: Credential, text: str) -> None:
        self.refusals.append(credential.version)


def new_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def key_credential(key: asyncssh.SSHKey, user: str = "alice", version: int = 1) -> Credential:
    return Credential(version, "ssh-key", user, key.export_private_key("openssh").decode())
