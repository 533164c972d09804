"""`mantik runs`: one file per command."""

import click

from gateway.cli.groups import Group

COMMANDS = {
    "submit": "Submit an MLflow project.",
    "list": "List the runs of a project, newest first.",
    "describe": "Show everything about a run.",
    "logs": "Show the log of a run, live until it ends.",
    "wait": "Wait until a run has ended.",
    "cancel": "Ask for the end of a run.",
    "delete": "Delete a run.",
}
command: click.Group = Group(
    "runs",
    lazy=COMMANDS,
    package="gateway.cli.runs",
    help="Submit runs, follow, list, describe, cancel and delete them.\n\nA run is named by its id, or by a name that "
    "only one run of the project has.",
)
