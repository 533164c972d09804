"""One sentence or two for each word that a user may see. A test fails when one is missing."""

from collections.abc import Mapping

from backends.reasons import Reason
from gateway.runs.states import ConditionName, State

STATES: Mapping[State, str] = {
    State.CREATED: "The request is stored. Nothing has gone to the site.",
    State.PREPARING: "Commit, command and job script are fixed; code and files are brought to the site.",
    State.SUBMITTING: "The attempt is laid out on the site and the job is being submitted.",
    State.QUEUED: "The site has the job, and it waits.",
    State.STARTING: "The site makes the nodes ready.",
    State.RUNNING: "The job runs.",
    State.FINISHED: "The command ended with code 0.",
    State.FAILED: "The run did not succeed; the reason says why.",
    State.CANCELLED: "The job was ended on request, or can never run; the reason says on whose request.",
}
CONDITIONS: Mapping[ConditionName, str] = {
    ConditionName.SUBMIT_UNKNOWN: "The site may or may not have taken the job; the gateway is finding out.",
    ConditionName.LOST_CONTACT: "The site, or something else that the run needs, does not answer. The gateway "
    "goes on trying.",
    ConditionName.NEEDS_LOGIN: "The site refuses the credential, or asks for more. Nothing is tried until its owner "
    "acts: `mantik connections renew`, or `mantik connections check` to try the same once more.",
    ConditionName.JOB_MISSING: "The site answers and no longer knows the job, and nothing shows how it ended. After "
    "`MANTIK_MISSING_GRACE_SECONDS` the run is LOST.",
    ConditionName.PENDING_REASON: "Why the job waits, in the scheduler's words.",
    ConditionName.COLLECTING: "The run has ended, and the rest of its log is being copied.",
    ConditionName.OUTPUTS_INCOMPLETE: "The site was out of reach for `lostAfterDays`; the rest was given up.",
    ConditionName.FILES_GONE: "The run's directory on the site is gone.",
    ConditionName.TRACKING_BEHIND: "MLflow does not answer; state and details are sent later.",
    ConditionName.TRACKING_NOT_COPIED: "What the job tracked beside itself is not whole in MLflow yet; it is copied.",
    ConditionName.TRACKING_INCOMPLETE: "Some of what the job tracked beside itself is not in MLflow, and stays so.",
    ConditionName.POST_RUN_FAILED: "A command on the login node after the end failed. The outcome stays as it is.",
}
REASONS: Mapping[Reason, str] = {
    Reason.INVALID_CONFIG: "The compute backend config, the MLproject or a parameter cannot be used; the message names "
    "the field.",
    Reason.CODE_NOT_FOUND: "The repository, the branch or the commit cannot be had.",
    Reason.AUTHENTICATION_FAILED: "The site refused the credential.",
    Reason.BUDGET_REFUSED: "The site does not bill this account for you, or it is used up.",
    Reason.REFUSED_BY_SITE: "The scheduler refused the job; the message names what to change.",
    Reason.STAGE_IN_FAILED: "The code could not be brought to the site, or is not there when the job starts.",
    Reason.PREPARE_FAILED: "A command before the run failed, a module or Python environment could not be loaded, or "
    "the work directory cannot be used.",
    Reason.IMAGE_FAILED: "The container image is not there, or the node cannot run it.",
    Reason.EXIT_CODE: "The command ended with a code other than 0, or by a signal.",
    Reason.OUT_OF_MEMORY: "The job used more memory than it asked for.",
    Reason.TIME_LIMIT: "The job reached its time limit.",
    Reason.NODE_FAILURE: "A node failed, or the machine was restarted.",
    Reason.PREEMPTED: "The site took the nodes for another job and did not queue this one again.",
    Reason.CANCELLED_BY_USER: "Somebody asked the gateway to cancel the run.",
    Reason.CANCELLED_ON_SITE: "The job was cancelled on the site, not through the gateway.",
    Reason.DISK_FULL: "The disk or quota of the work directory is full.",
    Reason.LOST: "There is no evidence of how the job ended. The gateway looks for it again for `lostAfterDays` of the "
    "site, and never submits the run a second time.",
}
LASTING = frozenset({ConditionName.OUTPUTS_INCOMPLETE, ConditionName.FILES_GONE, ConditionName.POST_RUN_FAILED})
"""Conditions that stay."""
NOT_GIVEN: frozenset[str] = frozenset({Reason.AUTHENTICATION_FAILED})
"""Words that are kept for later. A test fails when one is in use."""
OTHER_CODES: Mapping[str, tuple[str, str]] = {
    "METHOD_NOT_ALLOWED": ("405", "This path does not take that method."),
    "HTTP_ERROR": ("other", "The web server refused the request."),
}
"""Codes without a class of their own."""
