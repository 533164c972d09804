"""A login node over SSH: one kept connection, verified host keys, one login per credential version."""
