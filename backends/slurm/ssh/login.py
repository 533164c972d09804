"""Logging in with one credential, once: what the server asks for is answered a single time."""

from typing import Any

import asyncssh

from backends.errors import AuthenticationFailed, SiteUnavailable
from backends.slurm.ssh.trust import Trust
from backends.spec import Credential


class Login(asyncssh.SSHClient):  # type: ignore[misc]  # asyncssh is not followed by mypy here
    """Answers one server. asyncssh would offer a password twice where a site has both password methods."""

    def __init__(self, credential: Credential) -> None:
        self._password = credential.secret if credential.method == "password" else None
        self._prompted = False
        self.shown: asyncssh.SSHKey | None = None
        """A host key that is not trusted; seen before anything of the credential is sent."""
        self.banner = ""
        self.refused = False
        """The key or the password was offered, and the server wants another."""
        self.challenge: str | None = None
        """What the server asks beyond the credential."""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown = key
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown = key
        return False

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banner = msg.strip()

    def public_key_auth_requested(self) -> None:
        # Called when the one key was used and publickey is still asked for: a partial success would not ask again.
        self.refused = True

    def password_auth_requested(self) -> str | None:
        return self._take_password()

    def password_change_requested(self, prompt: str, lang: str) -> Any:
        self.challenge = "The password has expired and the site wants a new one."
        return NotImplemented

    def kbdint_auth_requested(self) -> str | None:
        if self._prompted:
            self.refused = True
        if self.refused:
            return None
        if self._password is not None:
            return ""
        self.challenge = "The site asks for a second factor."
        return None

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: list[tuple[str, bool]]
    ) -> list[str] | None:
        if not prompts:
            return []
        if len(prompts) == 1 and "password" in prompts[0][0].lower() and self._password is not None:
            self._prompted = True
            return [self._take_password() or ""]
        self.challenge = " ".join([instructions, *(text for text, _ in prompts)]).strip()
        return None

    def _take_password(self) -> str | None:
        password, self._password = self._password, None
        if password is None:
            self.refused = True
        return password


FAST_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Before all others, which stay: a packet costs the gateway a fifth of what asyncssh's first choice costs."""


def options(credential: Credential, user: str, trust: Trust) -> dict[str, Any]:
    """Everything that asyncssh would otherwise take from this machine is set: no config, agent, known_hosts, GSSAPI.

    Raises AuthenticationFailed when the credential cannot be used for SSH at all; nothing was sent then.
    """
    methods = {"ssh-key": ["publickey", "keyboard-interactive"], "password": ["password", "keyboard-interactive"]}
    if credential.method not in methods or not credential.secret:
        raise AuthenticationFailed("SSH needs a connection with a key or a password; edit the connection.")
    return {
        "username": user,
        "client_keys": [key_pair(credential)] if credential.method == "ssh-key" else None,
        "preferred_auth": methods[credential.method],
        "known_hosts": (list(trust.keys), list(trust.authorities), []),
        "encryption_algs": FAST_CIPHERS,
        "config": None,
        "agent_path": None,
        "agent_forwarding": False,
        "pkcs11_provider": None,
        "x509_trusted_certs": None,
        "x509_trusted_cert_paths": None,
        "gss_host": None,
        "gss_kex": False,
        "gss_auth": False,
        "host_based_auth": False,
        "disable_trivial_auth": True,
    }


def key_pair(credential: Credential) -> Any:
    """The key, with its certificate where there is one: a list of both would be two logins."""
    try:
        key = asyncssh.import_private_key(credential.secret or "", credential.passphrase)
        if not credential.certificate:
            return key
        return asyncssh.load_keypairs([(key, asyncssh.import_certificate(credential.certificate))])[0]
    except ValueError as error:  # the base of asyncssh's key errors
        text = str(error)
        if "requires bcrypt" in text:  # https://github.com/ronf/asyncssh#optional-extras
            raise SiteUnavailable(
                "This gateway lacks the Python package bcrypt, which opens OpenSSH keys that have a passphrase. "
                "An operator has to install it.",
                text=text,
            ) from error
        if isinstance(error, asyncssh.KeyEncryptionError) or "assphrase" in text:
            message = "The passphrase does not open the key of this connection; give both anew."
        else:
            message = "The key or certificate of this connection cannot be read; give it anew."
        raise AuthenticationFailed(message, text=text) from error
