"""`python -m taskloom` is the same program as `taskloom`."""

from __future__ import annotations

import sys

from taskloom.cli import main

if __name__ == "__main__":
    sys.exit(main())
