import pytest

from backends.errors import InvalidJob, SiteUnavailable, SubmitUncertain
from backends.reasons import Reason
from backends.slurm.submission import Sbatch
from tests.backends.slurm import recorded

SUBMIT = Sbatch("mantik-r1-1")


@pytest.mark.parametrize(
    ("stdout", "job_id"),
    [
        ("42\n", "42"),
        ("42;cluster\n", "42"),
        ("Welcome to the centre\n42\n", "42"),
        ("42\nyour budget: 17 hours\n", "42"),
    ],
)
def test_job_id_is_read(stdout: str, job_id: str) -> None:
    assert SUBMIT.parse(0, stdout, "sbatch: lua: account checked\n") == job_id


@pytest.mark.parametrize("stdout", ["", "Submitted\n", "42\n43\n"])
def test_success_without_one_job_id_is_uncertain(stdout: str) -> None:
    with pytest.raises(SubmitUncertain):
        SUBMIT.parse(0, stdout, "")


@pytest.mark.parametrize(
    ("case", "field", "reason"),
    [
        ("account", "compute budget account", Reason.BUDGET_REFUSED),
        ("budget", "compute budget account", Reason.BUDGET_REFUSED),
        ("queue", "no queue 'nope' for this user; check Resources.Queue", Reason.REFUSED_BY_SITE),
        ("gpus", "GPUsPerNode", Reason.REFUSED_BY_SITE),
        ("memory", "Resources.MemoryPerNode", Reason.REFUSED_BY_SITE),
        ("time", "Resources.Runtime", Reason.REFUSED_BY_SITE),
        ("reservation", "Resources.Reservation", Reason.REFUSED_BY_SITE),
        ("feature", "Resources.NodeConstraints", Reason.REFUSED_BY_SITE),
        ("gres", "Resources.GPUsPerNode", Reason.REFUSED_BY_SITE),
        ("jobs", "Wait until some have ended", Reason.REFUSED_BY_SITE),
        ("node count", "Resources.Nodes", Reason.REFUSED_BY_SITE),
        ("option", "unrecognized option '--nosuch'", Reason.REFUSED_BY_SITE),
        ("script", "Unable to open file", Reason.REFUSED_BY_SITE),
    ],
)
def test_refusal_names_the_field_and_keeps_the_sites_text(case: str, field: str, reason: Reason) -> None:
    code, stderr = recorded.REFUSALS[case]
    with pytest.raises(InvalidJob) as caught:
        SUBMIT.parse(code, "", stderr)
    assert field in caught.value.message
    assert caught.value.reason is reason
    assert caught.value.text == stderr.strip()


@pytest.mark.parametrize(
    ("code", "stderr"), [recorded.CONTROLLER_DOWN, (127, "env: 'sbatch': No such file or directory\n")]
)
def test_surely_not_submitted(code: int, stderr: str) -> None:
    with pytest.raises(SiteUnavailable):
        SUBMIT.parse(code, "", stderr)


@pytest.mark.parametrize(
    ("code", "stderr"),
    [
        (1, "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"),
        (1, "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received\n"),
        (1, "sbatch: error: Batch job submission failed: Unable to contact slurm controller (receive failure)\n"),
        (1, "Connection to shared file system lost\n"),
        (1, ""),
        (137, "sbatch: error: Invalid account\n"),
        (-9, ""),
    ],
)
def test_everything_ambiguous_is_uncertain(code: int, stderr: str) -> None:
    with pytest.raises(SubmitUncertain):
        SUBMIT.parse(code, "", stderr)


def test_tag_goes_on_the_command_line_and_the_users_defaults_do_not() -> None:
    argv = SUBMIT.argv
    assert argv[-4:] == ("--parsable", "--job-name=mantik-r1-1", "--comment=mantik-r1-1", "job.sh")
    assert argv[0] == "env"
    assert argv[argv.index("SBATCH_ACCOUNT") - 1] == "-u"


def test_a_try_that_may_have_arrived_counts_more_than_one_that_did_not() -> None:
    stderr = (
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n"
    )
    with pytest.raises(SubmitUncertain):
        SUBMIT.parse(1, "", stderr)
