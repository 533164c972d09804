"""The contract that every backend keeps; `backends.contract` is the suite that checks it."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from backends.spec import (
    CodeBundle,
    Credential,
    DirectoryGone,
    FileArea,
    FileInfo,
    Found,
    Handle,
    JobRef,
    JobRequest,
    JobSpec,
    JobStatus,
    Method,
    RenderedJob,
    Revoked,
    Site,
    SiteInfo,
)

REVOKED_EXIT_CODE = 113
"""A copy that found the fence seized by the gateway ends with this code and touches nothing."""
DUPLICATE_EXIT_CODE = 114
"""A copy that found the fence passed by another copy ends with this code and touches nothing."""
NO_FENCE_EXIT_CODE = 115
"""A copy that found neither ticket nor fence ends with this code and touches nothing."""


class CredentialSource(Protocol):
    """Where a backend gets the credential of its connection. The gateway stores what is renewed, under a lock."""

    async def get(self) -> Credential:
        """Return the current version. Raises AuthenticationFailed when the current version was refused before."""
        ...

    async def refused(self, credential: Credential, text: str) -> None:
        """Record that the site refused this version: no path uses it again until its owner acts."""
        ...


@runtime_checkable
class RenewingSource(Protocol):
    """A `CredentialSource` whose tokens end: `get` has one renewed in time, and this has it done before that."""

    async def renew(self, credential: Credential) -> Credential:
        """The site refused this token: return a newer one of its issuer, or the same when there is none to be had.
        Whoever asks at the same time, in whatever gateway, the issuer is asked once.

        Raises AuthenticationFailed when the issuer refused, SiteUnavailable when it could not be asked."""
        ...


class Backend(Protocol):
    """One connection to one site. Every method may raise SiteUnavailable (nothing is known; try again),
    HostKeyRejected, AuthenticationFailed or ChallengeRequired; the others are named per method.
    All methods are safe to cancel and safe to call from several tasks at once.
    """

    async def check(self) -> SiteInfo:
        """Say who we are there, create the work directory and prove that it can be written. Repeatable.

        Raises InvalidJob (reason DISK_FULL or PREPARE_FAILED) when the work directory cannot be used.
        """
        ...

    async def stage(self, bundle: CodeBundle) -> None:
        """Bring code to `cache/<sha256>` once. On return the bytes there have this hash. Repeatable, resumable.
        A backend may remember for minutes that the site has it; `prepare` brings it again when it was cleared.

        Raises InvalidJob with reason STAGE_IN_FAILED or DISK_FULL.
        """
        ...

    async def prepare(self, spec: JobSpec) -> Handle:
        """Lay out the attempt's directory (code, job.sh, env, ticket) and run the login-node commands, detached
        and within `loginTimeLimit`. The code must be staged. Repeatable after any failure: it picks up what is there,
        runs the login-node commands once, and never lays a ticket where a fence stands. Costs nothing if abandoned.

        Raises InvalidJob with reason PREPARE_FAILED (the log's last lines in `text`), STAGE_IN_FAILED or DISK_FULL.
        """
        ...

    async def start(self, handle: Handle) -> JobRef:
        """Submit the prepared attempt. At most one submit command is ever issued for a handle; a repeated call
        returns the same job. Called only by who stored the handle under a guard.

        Raises InvalidJob in the site's words; SubmitUncertain when it may have been submitted and cannot be found;
        SiteUnavailable only when it surely was not submitted.
        """
        ...

    async def find(self, tag: str) -> Found:
        """Find the jobs that carry the tag, live or ended; `conclusive` only when none could be missed."""
        ...

    async def revoke(self, handle: Handle) -> Revoked | JobRef | DirectoryGone:
        """Seize the fence. Revoked: no copy can ever run. JobRef: that copy passed it before us. Repeatable."""
        ...

    async def poll(self, refs: Sequence[JobRef]) -> Mapping[JobRef, JobStatus]:
        """Look at all these jobs with one query to the site's scheduler (and one to its accounting for those gone).
        Every ref has a status; not finding a job is Phase.MISSING, never an end. ENDED carries its outcome."""
        ...

    async def cancel(self, ref: JobRef) -> None:
        """Ask the site to end the job. Repeatable; a job that has ended is no error. Proves nothing: poll tells."""
        ...

    async def finish(self, handle: Handle) -> None:
        """Run the login-node commands after the end, once, detached, and wait for them; remove `env`. Repeatable.

        Raises InvalidJob (PREPARE_FAILED, log in `text`) when a command failed: a condition, not an outcome.
        """
        ...

    async def stat(self, handle: Handle, path: str, area: FileArea = "attempt") -> FileInfo:
        """Raises JobNotFound when there is no such file. Paths stay inside their area after links are resolved."""
        ...

    async def list(self, handle: Handle, path: str = ".", area: FileArea = "attempt") -> Sequence[FileInfo]:
        """One directory, sorted by name. Raises JobNotFound."""
        ...

    async def read(self, handle: Handle, path: str, offset: int, limit: int, area: FileArea = "attempt") -> bytes:
        """Up to `limit` bytes from `offset`; empty at or past the end. Raises JobNotFound."""
        ...

    async def remove(self, handle: Handle, area: FileArea = "run") -> None:
        """Remove the directory of the run and all below it, or what an attempt keeps besides its fence: no copy of it
        can run after that. Repeatable; gone already is no error.

        A handle without a location stands for what a `prepare` of its tag left that did not return."""
        ...


class BackendKind(Protocol):
    """What the entry point `mantik.backends` names: one kind of site."""

    name: str

    def render(self, request: JobRequest) -> RenderedJob:
        """Put a request into the words of this kind of site. Pure.

        Raises InvalidJob with reason INVALID_CONFIG, naming the field that cannot be had there."""
        ...

    def open(self, site: Site, credentials: CredentialSource) -> AbstractAsyncContextManager[Backend]:
        """A backend for one connection. Entering it does no I/O; the first call connects."""
        ...


@runtime_checkable
class LoginRules(Protocol):
    """A `BackendKind` that says how its users log in. The others take keys, passwords and tokens, and no choices."""

    methods: Sequence[Method]
    preferences: Sequence[str]
    """Names that `Credential.preferences` may hold."""


@runtime_checkable
class Notified(Protocol):
    """A backend whose site posts to `JobSpec.notify` when a job changes. Everything works without it."""

    async def told(self, ref: JobRef, authorization: str, body: bytes) -> bool:
        """Whether a message, with its `Authorization` header, is the site's own and about this job. If so, the next
        `poll` asks anew for what it says. A hint: nothing of the message is taken for the job's status.

        Raises what any call may raise, when the site had to be asked for its key."""
        ...


@runtime_checkable
class Unstarted(Protocol):
    """A backend whose site keeps prepared jobs, also those that nobody will start."""

    async def unstarted(self, known: Collection[str]) -> Sequence[Handle]:
        """Jobs of this connection's user that carry the tag of an attempt, of any gateway, and were not started as far
        as the site shows. Those at the locations `known` are not looked at. Repeatable; one question for each other."""
        ...
