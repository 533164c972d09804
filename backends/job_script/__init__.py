"""The job script: one template for all sites as far as it goes."""

from backends.job_script.render import Places, render_script

__all__ = ["Places", "render_script"]
