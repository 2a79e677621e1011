"""Declarative deployment of self-hosted models: YAML in git, plan and apply over SSH.

from deployer import Fleet
with Fleet.load(".") as fleet:
    report = fleet.plan().apply()
    print(fleet.deployment("chat").predict("Hello"))
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Deployment", "Fleet", "Planned", "__version__"]  # noqa: F822  (made by __getattr__; types: __init__.pyi)

_HOMES = {"Fleet": "deployer.app.fleet", "Planned": "deployer.app.planned", "Deployment": "deployer.app.deployment"}


def __getattr__(name: str) -> Any:
    """Loads the API when it is first named: `import deployer` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'deployer' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
