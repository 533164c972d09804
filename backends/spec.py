"""The data that crosses the backend contract: frozen, without behaviour of any one site.

Units: bytes, seconds, aware UTC datetimes. Paths on a site are POSIX paths.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from backends.reasons import Reason
from compute_backend_configs import ComputeBackendConfig

FileArea = Literal["attempt", "run"]
"""`attempt`: the directory of job.sh, mantik.log and exit. `run`: the one above it, with code/, inputs/, outputs/."""


@dataclass(frozen=True, slots=True)
class Site:
    """What an operator says once for all users of a site."""

    id: str
    name: str
    kind: str
    """Name of the backend that serves it: local, slurm, ..."""
    host: str | None = None
    port: int | None = None
    url: str | None = None
    host_keys: tuple[str, ...] = ()
    """Confirmed SSH host keys as `<type> <base64>`; a line that begins with `@cert-authority` names a host CA."""
    jump: str | None = None
    """`[user@]host[:port]` of a jump host; its keys stand in `host_keys` as `<host> <type> <base64>`."""
    work_directory: str = "$HOME/mantik"
    """Template; the site's own shell expands `$NAME` in it once, at `check`."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Settings of one kind only, e.g. `loginTimeLimit` (seconds), `keyPath` of an operator."""


Method = Literal["ssh-key", "password", "token", "oidc", "none"]
"""How a user logs in. `oidc` is a token that ends, and that its source has renewed by its issuer."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One version of a user's credential. Its repr holds no secret."""

    version: int
    method: Method
    login_name: str | None = None
    secret: str | None = field(default=None, repr=False)
    """Private key, password or token."""
    passphrase: str | None = field(default=None, repr=False)
    certificate: str | None = None
    expires_at: datetime | None = None
    """When the token of `oidc` ends, by the gateway's clock."""
    preferences: Mapping[str, str] = field(default_factory=dict)
    """As whom the user acts there, where the site offers several: see `backends.backend.LoginRules`."""


@dataclass(frozen=True, slots=True)
class CodeBundle:
    """The project at one commit, as a gzipped tar on the gateway's disk, named by the hash of its bytes."""

    sha256: str
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a run wants, before it is put into the words of a site. Rendering it is pure: same request, same bytes."""

    run_id: str
    lineage_id: str
    name: str
    command: str
    """The shell command of the entry point, parameters filled in and quoted."""
    project_path: str
    """Directory of the MLproject inside the code; `.` for its top."""
    config: ComputeBackendConfig
    account: str | None
    """Compute budget account that the site bills."""
    git_ref: str
    """The commit."""
    raw_jobs_allowed: bool = True
    """Whether the site takes a batch script of ours where its own job descriptions cannot say what is asked for."""
    local_tracking: bool = False
    """Whether MLflow's API is served beside the job and read by the gateway; else the job asks the gateway itself."""


@dataclass(frozen=True, slots=True)
class RenderedJob:
    """The exact bytes that go to the site, and what a person should know of them."""

    script: bytes
    submit_command: tuple[str, ...]
    """As shown in a preview; the tag of the attempt is added when it is run."""
    login_commands_before: tuple[str, ...] = ()
    login_commands_after: tuple[str, ...] = ()
    project_path: str = "."
    git_ref: str = ""
    """As in the request: login-node commands find themselves in the directory of the MLproject, and the commit in
    MANTIK_GIT_REF."""
    warnings: tuple[str, ...] = ()
    """Sentences: what the site cannot take or what is read in a surprising way."""
    local_tracking: bool = False
    """The job keeps what it tracks in `tracking/journal` of its attempt."""

    @classmethod
    def of(
        cls, request: JobRequest, script: bytes, submit_command: tuple[str, ...], warnings: tuple[str, ...] = ()
    ) -> "RenderedJob":
        """With what every kind of site takes from the request as it is."""
        environment = request.config.environment
        return cls(
            script=script,
            submit_command=submit_command,
            login_commands_before=environment.pre_run_command_on_login_node,
            login_commands_after=environment.post_run_command_on_login_node,
            project_path=request.project_path,
            git_ref=request.git_ref,
            warnings=warnings,
            local_tracking=request.local_tracking,
        )


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One attempt, ready to be prepared."""

    run_id: str
    attempt: int
    name: str
    lineage_id: str
    job: RenderedJob
    code: CodeBundle
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Tokens and secrets: written as they are into a file of mode 0600, never into the script."""
    notify: str = field(default="", repr=False)
    """URL at which the site may tell of the job's changes, see `backends.backend.Notified`; empty for none."""
    untried: bool = False
    """Nobody is known to have called `prepare` for this attempt before, so that nothing of it needs to be looked for.
    Where that is wrong, after a pause of a gateway, what is made twice is still started once."""

    @property
    def tag(self) -> str:
        """What the site's job carries, so that it is found again. Letters, digits and dashes only."""
        return f"mantik-{self.run_id}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Handle:
    """Where one attempt lives on its site. Stored by the gateway before `start`."""

    tag: str
    location: str
    """Absolute attempt directory, or the URL of the site's job."""


@dataclass(frozen=True, slots=True)
class JobRef:
    """A job that the site knows."""

    id: str
    handle: Handle


@dataclass(frozen=True, slots=True)
class Found:
    """Answer of `find`. An empty list that is not conclusive proves nothing."""

    refs: tuple[JobRef, ...]
    conclusive: bool


@dataclass(frozen=True, slots=True)
class Revoked:
    """The gateway holds the fence: no copy of this attempt can ever run."""


@dataclass(frozen=True, slots=True)
class DirectoryGone:
    """The attempt's directory provably does not exist: LOST is allowed, a resubmit is not."""


class Phase(StrEnum):
    """Where a job stands, as far as the site can tell."""

    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    ENDED = "ENDED"
    MISSING = "MISSING"
    """The site answered and does not know the job, and no evidence of an end was found. `site_state` is then what its
    accounting still says, if anything."""


class EvidenceSource(StrEnum):
    """What an outcome rests on, strongest first."""

    EXIT_FILE = "exit file"
    SITE_EXIT_CODE = "exit code of the site"
    SCHEDULER_DETAILS = "scheduler details"
    FINAL_STATE = "final state of the site"


class Result(StrEnum):
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended, and how that is known."""

    result: Result
    evidence: EvidenceSource
    reason: Reason | None = None
    """Set unless FINISHED."""
    exit_code: int | None = None
    signal: int | None = None
    text: str = ""
    """The site's own words, e.g. `TIMEOUT 0:15`."""
    sentence: str = ""
    """Plain words with the next step, where the backend knows more than the reason says."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One look at one job."""

    ref: JobRef
    phase: Phase
    site_state: str = ""
    """The site's word for its state, unchanged."""
    pending_reason: str = ""
    restarts: int = 0
    """How often the site started the job anew (requeue, preemption)."""
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    nodes: str = ""
    account: str = ""
    """The account the site says it bills."""
    log_size: int | None = None
    """Bytes of mantik.log at this look, None when it is not there."""
    log_identity: str = ""
    """Changes when the log was replaced by another file."""
    fence: str | None = None
    """Job id that passed the fence, `revoked`, or None. Another id than `ref.id`: `ref` is a duplicate of that job."""
    outcome: Outcome | None = None
    """Set exactly when the phase is ENDED."""
    usage: Mapping[str, str] = field(default_factory=dict)
    """Accounting as the site prints it (`elapsed`, `billing`, `alloctres`)."""


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue (partition) and its limits; None is unknown or unlimited."""

    name: str
    default: bool = False
    up: bool = True
    max_seconds: int | None = None
    max_nodes: int | None = None
    total_nodes: int | None = None
    cpus_per_node: int | None = None
    memory_per_node: int | None = None
    gpus_per_node: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A compute budget account that this user may bill; `remaining` is None where the site does not tell."""

    name: str
    default: bool = False
    queues: tuple[str, ...] = ()
    remaining: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that a user may choose for a connection, such as the group to act for: see `Credential.preferences`."""

    name: str
    selected: str
    offered: tuple[str, ...] = ()
    """All that the site lets this user choose from; empty where it does not tell."""


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """Who am I there, and what is there for me. Empty lists mean that the site does not tell."""

    user: str
    host: str
    version: str
    work_directory: str
    """Absolute, after expansion; created and writable."""
    queues: tuple[Queue, ...] = ()
    accounts: tuple[Account, ...] = ()
    free_bytes: int | None = None
    free_inodes: int | None = None
    shared_file_system: bool | None = None
    notes: tuple[str, ...] = ()
    """Sentences for the user: what is odd here."""
    choices: tuple[Choice, ...] = ()
    """As whom we act there, and what else could be chosen."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """`path` is relative to its area; directories have size 0."""

    path: str
    size: int
    is_directory: bool
    modified_at: datetime
    identity: str = ""
