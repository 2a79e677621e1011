"""python -m tests.hub: the local hub as a process. Prints its address on one line when it listens."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from tests.hub import HubOptions, LocalHub


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hub", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="ROOT/<org>/<name>/<branch or tag>/<files>")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8230, help="0: any free one")
    parser.add_argument("--gated", action="append", default=[], metavar="ORG/NAME")
    parser.add_argument("--private", action="append", default=[], metavar="ORG/NAME")
    parser.add_argument("--token", default="hf_test", help="reads everything")
    parser.add_argument("--other-token", default="hf_other", help="valid, without access to gated and private repositories")
    parser.add_argument("--cut", type=int, default=0, metavar="BYTES", help="break transfers of bigger files after so many bytes")
    parser.add_argument("--cut-times", type=int, default=1, help="how often per file")
    parser.add_argument("--slow-bps", type=int, default=0, metavar="BYTES", help="per second")
    parser.add_argument("--corrupt", action="append", default=[], metavar="ORG/NAME:FILE", help="send wrong bytes")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = vars(parser.parse_args())
    root, host, port = args.pop("root"), args.pop("host"), args.pop("port")
    for several in ("gated", "private", "corrupt"):
        args[several] = set(args[several])
    hub = LocalHub(root, HubOptions(**args), host, port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=hub.stop).start())
    print(hub.url, flush=True)
    hub.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
