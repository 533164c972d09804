"""`mantik models`: one file per command."""

import click

from gateway.cli.groups import Group

COMMANDS = {
    "register": "Give the model of a finished run a name.",
    "list": "List the models of a project.",
    "describe": "Show everything about a model: run, commit, job, account, cost.",
    "rename": "Give a model another name.",
    "download": "Fetch the files of a model.",
    "image": "Get an archive of which a container image is built.",
    "unregister": "Take a model out of the project; its files stay.",
}
command: click.Group = Group(
    "models",
    lazy=COMMANDS,
    package="gateway.cli.models",
    help="Register what a run trained; describe, download, rename.\n\nA model is named by its id or its name.",
)
