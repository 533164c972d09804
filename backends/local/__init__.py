"""This machine as a site: jobs are processes in sessions of their own."""

from backends.local.kind import LocalKind

kind = LocalKind()
__all__ = ["kind"]
