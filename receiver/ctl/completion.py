"""`rollbackctl completion`: what a shell needs to complete commands and options. The scripts are click's."""

import click
from click.shell_completion import get_completion_class

PROGRAM = "rollbackctl"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a shell.

    \b
    bash: eval "$(rollbackctl completion bash)"        in ~/.bashrc
    zsh:  eval "$(rollbackctl completion zsh)"         in ~/.zshrc
    fish: rollbackctl completion fish | source         in ~/.config/fish/config.fish
    """
    made = get_completion_class(shell)
    if made is None:
        raise AssertionError(f"click does not know {shell}")
    click.echo(made(context.find_root().command, {}, PROGRAM, "_ROLLBACKCTL_COMPLETE").source())
