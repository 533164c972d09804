"""A site in memory, for tests: deterministic, with faults that a test chooses. It passes the contract suite."""

from backends.fake.backend import FakeBackend
from backends.fake.faults import Faults
from backends.fake.job import FakeJob, Killed
from backends.fake.kind import FakeKind
from backends.fake.site import FakeSite

__all__ = ["FakeBackend", "FakeJob", "FakeKind", "FakeSite", "Faults", "Killed"]
