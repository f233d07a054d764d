"""`python -m clad` is `clad`."""

import sys

from clad.cli.main import main

sys.exit(main())
