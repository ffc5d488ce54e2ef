"""`python -m metal` is the command line."""

from metal.cli import run

run()
