"""``python -m adaptfilt``: the command line, see `adaptfilt.cli`."""

import sys

from adaptfilt.cli import main

if __name__ == "__main__":
    sys.exit(main())
