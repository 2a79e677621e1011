"""The floor of bench_fanout: one bare Fabric connection per host, all at once, each running one `sudo python3 -`.

python bare_fabric.py SCRIPT KNOWN_HOSTS KEY USER ADDRESS...: feeds SCRIPT to every host; exit 0 when all answered JSON.
"""

import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fabric import Connection


def main(script: str, known_hosts: str, key: str, user: str, *addresses: str) -> int:
    source = Path(script).read_text(encoding="utf-8")

    def ask(address: str) -> dict[str, object]:
        with Connection(
            address, user=user, connect_kwargs={"key_filename": key, "look_for_keys": False, "allow_agent": False}
        ) as to:
            to.client.load_host_keys(known_hosts)
            said = to.run("sudo -n python3 -", in_stream=io.StringIO(source), hide=True)
            return dict(json.loads(said.stdout))

    with ThreadPoolExecutor(len(addresses)) as pool:
        answers = list(pool.map(ask, addresses))
    return int(not all("units" in answer for answer in answers))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
