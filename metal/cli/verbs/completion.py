"""`metal completion`: the script that lets a shell complete commands, options and servers."""

import click

from metal.cli import COMPLETE_VARIABLE
from metal.cli.lazy import Verb


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: metal completion bash > ~/.local/share/bash-completion/completions/metal
    zsh:  metal completion zsh > "${fpath[1]}/_metal"
    fish: metal completion fish > ~/.config/fish/completions/metal.fish
    """
    from click.shell_completion import get_completion_class

    from metal.cli.root import metal

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(metal, {}, "metal", COMPLETE_VARIABLE)
    click.echo(kind.source_template % script.source_vars(), nl=False)
