"""Slurm's words in a batch script, for every way that leads to a Slurm: its own login node, or a server before it."""

from backends.batch_script.directives import directives

__all__ = ["directives"]
