"""Tokens of a login, kept in a file that only its owner can read, one per gateway and user."""

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """A login at one gateway."""

    username: str
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)


class TokenFile:
    """`username`: as whom MANTIK_USERNAME says; None: the one of `mantik login`."""

    def __init__(self, api_url: str, username: str | None = None, directory: Path | None = None) -> None:
        folder = directory if directory is not None else platformdirs.user_state_path("mantik") / "logins"
        digest = hashlib.sha256(f"{api_url}\n{username or ''}".encode()).hexdigest()[:16]
        self.path = folder / f"{urlsplit(api_url).hostname}-{digest}.json"

    def load(self) -> StoredLogin | None:
        """What is stored; None when there is nothing that can be used."""
        try:
            if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
                self.path.chmod(0o600)
            return StoredLogin(**json.loads(self.path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, login: StoredLogin) -> bool:
        """Replace the file at once; False where the disk does not let us (the login then lives in memory)."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self.path.parent)  # mkstemp makes it 0600
        except OSError:
            return False
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(asdict(login), file)
            Path(name).replace(self.path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            return False
        return True

    def remove(self) -> bool:
        """Whether there was a login to forget."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    @contextlib.contextmanager
    def try_lock(self) -> Iterator[bool]:
        """Whether we are the only one to renew now; released at the end, also by a crash."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            yield True  # nothing can be stored, so there is nothing to fight for
            return
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True
        finally:
            os.close(handle)
