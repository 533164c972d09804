"""The entry script on the host: `$HOME/.mantik/entry-<hash>`, put there once."""

import hashlib
from dataclasses import dataclass

from backends.errors import SiteUnavailable
from backends.host.shell import Completed

DIRECTORY = ".mantik"
PRESENT, INSTALLED, FAILED = b"mantik-present", b"mantik-installed", b"mantik-failed"
NOT_FOUND_CODES = (126, 127)


@dataclass(frozen=True, slots=True)
class Installation:
    """One version of the script; its name says which."""

    script: bytes

    @property
    def path(self) -> str:
        """Relative to the home directory, where sshd starts every command."""
        return f"{DIRECTORY}/entry-{hashlib.sha256(self.script).hexdigest()[:16]}"

    @property
    def probe(self) -> str:
        """A command that says whether the script is there."""
        return f"/bin/sh -c 'test -x {self.path} && echo {PRESENT.decode()}'"

    @property
    def upload(self) -> str:
        """A command that takes the script on stdin; two at once do no harm."""
        part = f"{self.path}.$$"
        steps = f"mkdir -p {DIRECTORY} && cat >{part} && chmod 700 {part} && mv -f {part} {self.path}"
        said = f"echo {INSTALLED.decode()} || {{ rm -f {part}; echo {FAILED.decode()}; }}"
        return f"/bin/sh -c 'umask 077; {steps} && {said}'"

    def missing(self, probed: Completed) -> bool:
        """Under a forced command the answer is neither yes nor a plain no: then there is nothing to install."""
        return PRESENT not in probed.stdout and probed.code == 1 and not probed.stdout

    def check(self, uploaded: Completed, where: str) -> bool:
        """True when it is there now; False when a forced command answered. Raises SiteUnavailable."""
        if INSTALLED in uploaded.stdout:
            return True
        if FAILED in uploaded.stdout:
            text = uploaded.stderr.decode(errors="replace").strip()
            why = text.splitlines()[-1] if text else "no reason given"
            raise SiteUnavailable(
                f"The home directory on {where} cannot be written: {why}. Free space or quota there, then try again.",
                text=text,
            )
        return False
