"""Bytes to a host and back: one seam with three sides (ssh, local, fake)."""

from deployer.transport.choose import open_transport

__all__ = ["open_transport"]
