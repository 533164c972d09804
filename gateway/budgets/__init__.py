"""The budget guard of a project: what a run may cost at most, and what the project lets a run and a month cost."""
