"""`python -m pluralbench`."""

import sys

from pluralbench.benchmarks.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
