"""Retention: logs, directories on the site and runs that go some days after the end of their run."""
