"""Our programs as one file each, `serve.pyz` and `handler.pyz`: made here, brought to hosts as tools, started there as
`python -I serve.pyz`.
"""

from deployer.transport.archive import package, packed


def serve_archive() -> bytes:
    return package_archive("serve")


def package_archive(name: str) -> bytes:
    """A zip with `__main__.py` at its top and that package of ours. Same sources, same bytes, on every machine."""
    return packed(package(name))
