"""How connections are made, before any of them is opened."""

import sys
from concurrent.futures import ThreadPoolExecutor

from deployer.transport.ssh.client import Logins
from deployer.transport.ssh.route import Hop


def test_connections_to_many_hosts_are_made_at_once() -> None:
    """They share one configuration, which Fabric writes to and empties for that while it makes a connection."""
    logins, interval = Logins(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n: logins.draft(Hop(f"h{n}", f"10.9.0.{n}")), range(200)))
    finally:
        sys.setswitchinterval(interval)
    assert {(one.host, one.port) for one in made} == {(f"10.9.0.{n}", 22) for n in range(200)}
