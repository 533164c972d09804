"""What git could not do, in one sentence for a user; told from its last words."""

import re


class GitError(Exception):
    """Git could not do it; `text` holds its last words, secrets removed."""

    def __init__(self, message: str, *, text: str = "", temporary: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.temporary = temporary
        """True when a retry may help (the host cannot be reached)."""


def not_taken(uri: str, text: str = "") -> GitError:
    return GitError(f"This gateway does not take repositories like {uri}. Use https or ssh.", text=text)


def too_large(uri: str) -> GitError:
    return GitError(f"{uri} is larger than the gateway takes (MANTIK_MAX_CACHE_BYTES). Keep large data out of it.")


def explained(uri: str, err: bytes) -> GitError:
    """From what git wrote to its error output."""
    text = words(err)
    low = text.lower()
    signs = ("could not resolve", "connection refused", "timed out", "unable to access", "no route", "time limit")
    if "host key verification failed" in low or "host identification has changed" in low:
        changed = "shows another SSH host key than before; ask your operator to check it."
        unknown = "shows an SSH host key that is not in git_known_hosts; ask your operator to add it."
        return GitError(f"The host of {uri} {changed if 'has changed' in low else unknown}", text=text)
    if re.search("returned error: 30[1-8]", low):
        say = "sends the gateway to another address; give the address it leads to, often with .git at its end."
        return GitError(f"{uri} {say}", text=text)
    refused = ("authentication failed", "permission denied", "could not read username", "error: 401", "error: 403")
    if any(sign in low for sign in refused):
        return GitError(f"{uri} refused the login. Give its code repository a connection that may read it.", text=text)
    if "not allowed" in low and "transport" in low:
        return not_taken(uri, text)
    if any(sign in low for sign in signs) and "404" not in low:
        return GitError(f"{uri} cannot be reached now.", text=text, temporary=True)
    return GitError(f"There is no git repository at {uri}, or it may not be read.", text=text)


def words(err: bytes) -> str:
    return err.decode(errors="replace").strip()[-2000:]
