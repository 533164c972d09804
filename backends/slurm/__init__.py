"""Slurm on a login node that is reached over SSH."""

from backends.slurm.kind import SlurmKind, kind
from backends.slurm.ssh.connection import scan_host_keys

__all__ = ["SlurmKind", "kind", "scan_host_keys"]
