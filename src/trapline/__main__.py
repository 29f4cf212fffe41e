"""`python -m trapline` is the command `trapline`."""

import sys

from trapline.cli import main

sys.exit(main())
