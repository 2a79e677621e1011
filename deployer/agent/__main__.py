"""Started as a directory or an archive: `python3 -I <agent> <verb>`."""

import sys

from deployer.agent.main import main

sys.exit(main())
