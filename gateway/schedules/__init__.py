"""Schedules: when a run is repeated, and the firings that prove it happened once."""
