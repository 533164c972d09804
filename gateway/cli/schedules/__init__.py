"""`mantik schedules`: one file per command."""

import click

from gateway.cli.groups import Group

COMMANDS = {
    "create": "Repeat a run by the clock.",
    "list": "List the schedules of a project.",
    "describe": "Show everything about a schedule.",
    "edit": "Change a schedule, for the future.",
    "delete": "Delete a schedule; its runs stay.",
    "preview": "Show the next firings, also before anything is saved.",
    "pause": "No firing until it is resumed.",
    "resume": "Fire again from now on.",
    "fire": "Make a run now.",
    "history": "Show what was due, and what came of it.",
}
command: click.Group = Group(
    "schedules",
    lazy=COMMANDS,
    package="gateway.cli.schedules",
    help="Repeat runs by the clock; preview, pause, fire and edit.\n\nA schedule is named by its id or its name.",
)
