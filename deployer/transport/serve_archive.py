"""Our server as one file, `serve.pyz`: made here, brought to hosts as a tool, started there as `python -I serve.pyz`."""

from deployer.transport.archive import package, packed


def serve_archive() -> bytes:
    """A zip with `__main__.py` at its top and the package `deployer.serve`. Same sources, same bytes, on every machine."""
    return packed(package("serve"))
