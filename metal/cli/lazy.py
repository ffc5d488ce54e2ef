"""Commands that are imported only when they are run: `metal --help` must answer at once."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from metal.cli.face import Face


class LazyGroup(click.Group):
    """A group whose commands are known by a table: name → (module, one line of help)."""

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **more: Any) -> None:
        super().__init__(*args, **more)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: the order of a server's life, not of the alphabet."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        command = getattr(import_module(self.lazy[cmd_name][0]), "command")  # noqa: B009
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.lazy and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}{_meant(args[0], list(self.lazy))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.lazy.items()])


def _meant(word: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, known, 1)
    return f": did you mean {close[0]!r}?" if close else ""


class Verb(click.Command):
    """A command that also takes the global options after its name: `metal plan -o json`."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # Its own too: click keeps the first help option it makes, whoever asked for it.
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])
        self.params += global_options(hidden=True)


def global_options(*, hidden: bool = False) -> list[click.Parameter]:
    """-C, -o, --no-color, --verbose: each writes itself into the Face at hand."""
    return [
        click.Option(
            ["-C", "--workspace"],
            metavar="DIR",
            type=click.Path(),
            help="The workspace: the folder of inventory.toml; else the one you are in. "
            "[METAL_WORKSPACE]",
            callback=_tell("workspace"),
            expose_value=False,
            hidden=hidden,
        ),
        click.Option(
            ["-o", "--output"],
            type=click.Choice(["table", "json", "ndjson"]),
            help="How data is printed.  [default: table]",
            callback=_tell("output"),
            expose_value=False,
            hidden=hidden,
        ),
        click.Option(
            ["--no-color"],
            is_flag=True,
            default=None,
            help="No colour; so does NO_COLOR in the environment.",
            callback=_tell("no_color"),
            expose_value=False,
            hidden=hidden,
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            default=None,
            help="Say each step on stderr where there is no terminal for progress bars.",
            callback=_tell("verbose"),
            expose_value=False,
            hidden=hidden,
        ),
    ]


def _tell(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        face = ctx.ensure_object(Face)
        if value is not None:
            setattr(face, name, value)
        if name == "no_color" and face.no_color:
            ctx.color = False

    return callback
