"""SSH, through Fabric: the only folder that imports it, and only when a connection is wanted."""

from deployer.transport.ssh.connection import SshTransport

__all__ = ["SshTransport"]
