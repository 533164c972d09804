"""Sites that are reached by commands on a host: this machine, or a login node over SSH.

All work there goes through one fixed, versioned script (`entry.sh`), so that a site can allow just that.
"""
