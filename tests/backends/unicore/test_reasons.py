import pytest

from backends.host.evidence import Files
from backends.host.outcome import decide
from backends.reasons import Reason
from backends.spec import EvidenceSource, Outcome, Result
from backends.unicore.reasons import cause_of, ended_record
from backends.unicore.slurm_details import details_record

PROCESSING = "Processing failed: eu.unicore.xnjs.ems.ExecutionException: "
BROKEN = "Job did not complete normally on BSS (no exit code found)"

CAUSES = [
    (
        f"{PROCESSING}Resource request <Nodes=99> is out of range. (Invalid resource request)",
        Reason.INVALID_CONFIG,
        "Resources.Nodes: 99 is more or less than the queue takes; `mantik connections check` shows the site's limits.",
    ),
    (
        f"{PROCESSING}Resource <Foo> is not available for partition <batch> (Invalid resource request)",
        Reason.INVALID_CONFIG,
        "Resources.Foo: queue batch does not take it. Leave it out, or choose another queue.",
    ),
    (
        f"{PROCESSING}Resource request <Project=nope> is out of range. (Invalid resource request)",
        Reason.BUDGET_REFUSED,
        "The compute budget account 'nope' is not open to you there; `mantik connections check` shows the site's "
        "limits and the accounts you have.",
    ),
    (
        f"{PROCESSING}Resource request <Queue = nope> is out of range. (Invalid resource request)",
        Reason.INVALID_CONFIG,
        "Resources.Queue: the site has no queue 'nope'; `mantik connections check` shows the site's limits and queues.",
    ),
    ("No conversion for unit 'GB'", Reason.INVALID_CONFIG, "UNICORE does not read the unit 'GB'; write K, M, G or T."),
    (
        "Staging in failed. Reason: Import of x failed.",
        Reason.STAGE_IN_FAILED,
        "Files could not be brought into the job's directory: Import of x failed.",
    ),
    (
        "Pre-command(s) failed: exit 2",
        Reason.PREPARE_FAILED,
        "A command on the login node before the job failed (PreRunCommandOnLoginNode): exit 2.",
    ),
    (
        "Post-command(s) failed: exit 2",
        Reason.PREPARE_FAILED,
        "A command on the login node after the job failed (PostRunCommandOnLoginNode): exit 2.",
    ),
    (
        "User application exited with non-zero exit code: <3>. Please check stdout and stderr.",
        Reason.EXIT_CODE,
        "The job ended with code 3; see its log.",
    ),
    ("Job aborted.", Reason.CANCELLED_ON_SITE, "The job was aborted on the site."),
    (
        BROKEN,
        Reason.LOST,
        "The batch system ended the job before it left an exit code, and does not tell why: it was cancelled there, "
        "ran out of time or memory, or a node failed. Look at the log's end, and ask for more time or memory.",
    ),
    (
        "Submission to classic TSI failed: sbatch: error: Batch job submission failed: Invalid account or "
        "account/partition combination specified",
        Reason.BUDGET_REFUSED,
        "The site does not bill this job to the compute budget account: it is unknown, not open to this user or queue, "
        "or used up. Check the compute budget account and Resources.Queue.",
    ),
    (
        "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed",
        Reason.REFUSED_BY_SITE,
        "The site has no queue 'nope' for this user; check Resources.Queue.",
    ),
    ("Something new.", Reason.LOST, "The site ended the job: Something new. See the job's events and log."),
    ("", Reason.LOST, "The site ended the job: it tells no cause. See the job's events and log."),
]


@pytest.mark.parametrize(("message", "reason", "sentence"), CAUSES)
def test_each_message_has_a_reason_and_a_sentence(message: str, reason: Reason, sentence: str) -> None:
    cause = cause_of(message)
    assert (cause.reason, cause.sentence, cause.text) == (reason, sentence, message)


def test_code_is_read_from_the_message() -> None:
    assert cause_of("User application exited with non-zero exit code: <3>. See stderr.").exit_code == 3
    assert cause_of("Something new.", 4).reason is Reason.EXIT_CODE


NONE = Files()
ABORTED = "The job was aborted on the site. UNICORE says: FAILED Job aborted."


@pytest.mark.parametrize(
    ("status", "message", "code", "outcome"),
    [
        ("SUCCESSFUL", "", 0, Outcome(Result.FINISHED, EvidenceSource.SITE_EXIT_CODE, None, 0, None, "SUCCESSFUL 0:0")),
        # Seen after the server was killed under a running job: nobody knows that it ran to its end.
        (
            "SUCCESSFUL", "", None,
            Outcome(Result.FAILED, EvidenceSource.FINAL_STATE, Reason.LOST, None, None, "SUCCESSFUL"),
        ),
        (
            "FAILED", "User application exited with non-zero exit code: <3>.", 3,
            Outcome(Result.FAILED, EvidenceSource.SITE_EXIT_CODE, Reason.EXIT_CODE, 3, None, "FAILED 3:0"),
        ),
        (
            "FAILED", "Job aborted.", None,
            Outcome(Result.CANCELLED, EvidenceSource.FINAL_STATE, Reason.CANCELLED_ON_SITE, None, None, ABORTED),
        ),
    ],
)  # fmt: skip
def test_what_an_end_proves(status: str, message: str, code: int | None, outcome: Outcome) -> None:
    assert decide("1", ended_record("1", status, message, code), NONE) == outcome


def details(state: str, code: str = "0:0", comment: str = "mantik-r1", **more: str) -> dict[str, str]:
    return {"JobId": "12", "JobState": state, "ExitCode": code, "Comment": comment, "Restarts": "0", **more}


ENDS = [
    ("TIMEOUT", "0:15", Reason.TIME_LIMIT),
    ("OUT_OF_MEMORY", "0:125", Reason.OUT_OF_MEMORY),
    ("NODE_FAIL", "0:0", Reason.NODE_FAILURE),
    ("CANCELLED", "0:15", Reason.CANCELLED_ON_SITE),
    ("PREEMPTED", "0:0", Reason.PREEMPTED),
]


@pytest.mark.parametrize(("state", "code", "reason"), ENDS)
@pytest.mark.parametrize("comment", ["mantik-r1", "(null)"])
def test_slurm_behind_it_names_what_unicore_does_not(state: str, code: str, reason: Reason, comment: str) -> None:
    seen = details_record("url", details(state, code, comment))
    outcome = decide("1", ended_record("1", "FAILED", BROKEN, None, seen), NONE)
    assert outcome is not None
    assert (outcome.reason, outcome.exit_code) == (reason, None)


def test_code_of_a_raw_job_counts() -> None:
    seen = details_record("url", details("FAILED", "3:0"))
    outcome = decide("1", ended_record("1", "FAILED", BROKEN, None, seen), NONE)
    assert outcome is not None
    assert (outcome.result, outcome.exit_code, outcome.text) == (Result.FAILED, 3, "FAILED 3:0")


def test_good_end_of_the_wrapper_of_a_plain_job_proves_nothing() -> None:
    seen = details_record("url", details("COMPLETED", comment="(null)"))
    outcome = decide("1", ended_record("1", "FAILED", BROKEN, None, seen), NONE)
    assert outcome is not None
    assert (outcome.result, outcome.reason) == (Result.FAILED, Reason.LOST)


def test_why_a_job_waits() -> None:
    seen = details_record(
        "url", details("PENDING", Reason="AssocGrpBillingMinutes", Account="proj1", NodeList="(null)")
    )
    assert seen is not None
    assert (seen.pending_reason, seen.account, seen.nodes) == ("AssocGrpBillingMinutes", "proj1", "")


def test_text_is_read_too() -> None:
    seen = details_record(
        "url", {"rawDetailsData": "JobId=12 JobName=a run\n   JobState=RUNNING Reason=None Restarts=2"}
    )
    assert seen is not None
    assert (seen.state, seen.restarts, seen.pending_reason) == ("RUNNING", 2, "")


@pytest.mark.parametrize("told", [{}, {"rawDetailsData": "N/A"}, "", None, {"errorMessage": "no such job"}])
def test_no_slurm_there(told: object) -> None:
    assert details_record("url", told) is None
