"""`mantik completion`."""

import click

from gateway.cli.groups import Command

_INSTALL = {
    "bash": 'eval "$(mantik completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(mantik completion zsh)" in ~/.zshrc',
    "fish": "mantik completion fish > ~/.config/fish/completions/mantik.fish",
}


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(sorted(_INSTALL)))
def command(shell: str) -> None:
    """Print the completion of commands for your shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.", click.get_current_context())
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "mantik", "_MANTIK_COMPLETE").source())
    click.echo(f"To use it: {_INSTALL[shell]}", err=True)
