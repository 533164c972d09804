"""The job script: one template for all sites as far as it goes."""

from backends.job_script.render import render_script

__all__ = ["render_script"]
