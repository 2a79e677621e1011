"""`python -I handler.pyz --config FILE`: the archive starts here."""

import sys

from deployer.handler.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
