"""`python -m server` is `longshore`."""

import sys

from server.cli import main

sys.exit(main())
