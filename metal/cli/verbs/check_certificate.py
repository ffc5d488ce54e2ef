"""`metal check-certificate`: the second opinion."""

from pathlib import Path

import click

from metal.cli.lazy import Verb

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("check-certificate", cls=Verb)
@click.argument("certificate", type=FILE)
@click.option("--world", type=FILE, metavar="FILE", help="Also see that no VM of it is left out.")
@click.pass_context
def command(ctx: click.Context, certificate: Path, world: Path | None) -> None:
    """Verify a certificate of `metal plan --prove --certificate FILE`.

    The checker shares no code with what made it: metal/check_certificate.py also runs alone, with
    nothing but Python. Ends with 1 when a claim is wrong or a failure is not proven.
    """
    from metal.check_certificate import main
    from metal.model.errors import BadInput

    try:
        code = main([str(certificate), *([str(world)] if world else [])])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"is no certificate: {type(error).__name__}: {error}",
            where=str(certificate),
            mend="`metal plan --prove --certificate FILE` writes one",
        ) from None
    ctx.exit(code)
