"""`python -m embcodec` is the command `embcodec`."""

import sys

from embcodec.cli import main

sys.exit(main())
