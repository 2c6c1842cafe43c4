"""Start the composer's command line."""

import sys

from composer.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
