"""Errors of a backend: each says whether a retry can help and who has to act."""

from backends.reasons import Reason


class BackendError(Exception):
    """The site could not do what was asked."""

    code = "BACKEND_ERROR"

    def __init__(self, message: str, *, text: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        """The site's own words, unchanged; empty when there are none."""


class InvalidJob(BackendError):
    """The site will never take this job as it is; a retry gives the same answer."""

    code = "INVALID_JOB"

    def __init__(self, message: str, *, reason: Reason = Reason.REFUSED_BY_SITE, text: str = "") -> None:
        super().__init__(message, text=text)
        self.reason = reason


class AuthenticationFailed(BackendError):
    """The site refused this version of the credential. Nobody uses it again until its owner acts."""

    code = "AUTHENTICATION_FAILED"


class ChallengeRequired(BackendError):
    """The site wants an answer from the owner (a one-time password, a visit to a URL) before it lets us in."""

    code = "CHALLENGE_REQUIRED"


class JobNotFound(BackendError):
    """The site, reachable and authenticated, does not know this job or file. No proof that the job never ran."""

    code = "JOB_NOT_FOUND"


class SiteUnavailable(BackendError):
    """Nothing is known and nothing was done; try again later."""

    code = "SITE_UNAVAILABLE"


class HostKeyRejected(SiteUnavailable):
    """The host shows a key that its site does not list. Nothing was sent; the operator has to confirm the key."""

    code = "HOST_KEY_REJECTED"


class SubmitUncertain(BackendError):
    """The job may or may not have been submitted. Only the fence decides: see `Backend.revoke`."""

    code = "SUBMIT_UNCERTAIN"
