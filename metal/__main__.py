"""`python -m metal` is the command line."""

import sys

from metal.cli import main

sys.exit(main())
