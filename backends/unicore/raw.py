"""The job script of a UNICORE site: one text that runs as a raw job, whose `#SBATCH` lines count, and as a plain one.

A raw job is our file with one more line at its end, submitted as it is: the site adds no account, no output and no exit
code. In a plain job the same lines are comments.
"""

from backends.batch_script import directives
from backends.job_script import Places, render_script
from backends.spec import JobRequest
from backends.unicore.names import job_name

PLACES = Places(
    # Each attempt has a job directory of its own, whose parent belongs to the site.
    run="$PWD",
    lineages='"$HOME"/mantik/lineage',
    log="mantik.log",
    # Without it the server goes on for two minutes as if a raw job still ran.
    exit_code="UNICORE_SCRIPT_EXIT_CODE",
)


def script(request: JobRequest) -> bytes:
    """`job.sh`, the same for each attempt and for both ways.

    Raises InvalidJob with reason INVALID_CONFIG, naming the field that neither can carry."""
    return render_script(request, raw_directives(request), PLACES)


def raw_directives(request: JobRequest) -> tuple[str, ...]:
    """The lines of the Slurm backend, and what is said on sbatch's command line there."""
    name = f"--job-name={job_name(request.name)}"
    return (*directives(request), name, f"--comment=mantik-{request.run_id}")
