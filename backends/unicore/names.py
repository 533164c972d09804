"""Names of jobs as UNICORE and Slurm take them."""

import re

LONGEST = 64
_REFUSED = re.compile(r"[^0-9A-Za-z.]+")


def job_name(name: str) -> str:
    """Letters, digits and dots: with anything else UNICORE writes `UNICORE_job` instead of the whole name."""
    return _REFUSED.sub(".", name)[:LONGEST].strip(".") or "mantik"
