"""Asks a host for its key without logging in. Used by `hostkeys`, for `deployer hosts trust`."""

import time
from typing import TYPE_CHECKING

import paramiko

from deployer.errors import Unreachable
from deployer.transport.ssh import client, keys
from deployer.transport.ssh.route import Hop

if TYPE_CHECKING:
    import fabric


def ask(hop: Hop, logins: client.Logins, through: "fabric.Connection | None", *, deadline: float) -> keys.HostKey:
    """The key the host shows. Raises Unreachable. Who shows it is not known: a person compares the fingerprint."""
    draft = logins.draft(hop)
    carrier = client.carrier(hop, draft, through, deadline)
    transport = paramiko.Transport(carrier)
    try:
        transport.banner_timeout = max(deadline - time.monotonic(), 0.1)
        options = transport.get_security_options()
        preferred = [kind for kind in options.key_types if kind == "ssh-ed25519"]
        options.key_types = preferred + [kind for kind in options.key_types if kind not in preferred]
        transport.start_client(timeout=max(deadline - time.monotonic(), 0.1))
        return keys.shown(transport.get_remote_server_key())
    except (paramiko.SSHException, OSError, EOFError) as e:
        raise Unreachable(f"{draft.host} port {draft.port} does not answer as SSH: {e}", where=hop.where) from e
    finally:
        transport.close()
