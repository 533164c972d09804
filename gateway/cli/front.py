"""The first page: all commands in one line each. Imports nothing, so that `mantik --help` answers at once."""

COMMANDS = {
    "Work": {
        "runs": "Submit runs, follow, list, describe, cancel and delete them.",
        "schedules": "Repeat runs by the clock; preview, pause, fire and edit.",
        "models": "Register what a run trained; describe, download, rename.",
        "configs": "Check compute backend configs.",
    },
    "Set up": {
        "login": "Log in at the gateway.",
        "logout": "Forget the login on this machine.",
        "connections": "Your own access to sites and to git.",
        "notifications": "Be told of failed runs, lost logins, paused schedules and budgets.",
        "budget": "What the runs of a project may cost, and what they come to.",
        "projects": "Projects: their members share repositories and runs.",
        "experiments": "Experiment repositories (MLflow experiments).",
        "code": "Code repositories (git).",
        "sites": "The supercomputers that this gateway knows.",
        "tokens": "API tokens for scripts.",
        "users": "The users of this gateway (for its admins).",
    },
    "Here": {
        "serve": "Start a gateway on this machine.",
        "completion": "Print the completion of commands for your shell.",
    },
}
_TOP = """\
Usage: mantik COMMAND [OPTIONS]

Runs MLflow projects from git on supercomputers.
"""
_END = """\
More: mantik COMMAND --help; mantik --version
The gateway's address is read from MANTIK_API_URL, e.g. https://host/api/v1
"""


def summaries() -> dict[str, str]:
    """Every command with its line."""
    return {name: text for part in COMMANDS.values() for name, text in part.items()}


def page() -> str:
    parts = [_TOP]
    for title, commands in COMMANDS.items():
        lines = [f"  {name:<13} {text}" for name, text in commands.items()]
        parts.append("\n".join([f"{title}:", *lines]) + "\n")
    return "\n".join([*parts, _END])
