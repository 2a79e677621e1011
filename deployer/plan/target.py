"""Which locked target fits a host: the same architecture, a Python that is there, a glibc that is not newer."""

from collections.abc import Mapping
from functools import lru_cache

from deployer.agent.wire import Probe
from deployer.state.locked import LockedTarget


def fitting_target(targets: Mapping[str, LockedTarget], probe: Probe) -> tuple[LockedTarget | None, str]:
    """The best target ("3.11/x86_64/glibc-2.36") and, when there is none, what the host has instead."""
    pythons = [_minor(v) for v in probe.get("python", [])]
    arch, glibc = probe.get("arch", ""), _version(probe.get("glibc", "0"))
    fits = []
    for name, target in targets.items():
        python, machine, libc = name.split("/")
        wanted = _version(libc.removeprefix("glibc-"))
        if machine == arch and python in pythons and wanted <= glibc:
            fits.append((-pythons.index(python), wanted, name, target))
    if fits:
        return max(fits, key=lambda f: f[:3])[3], ""
    has = f"{'/'.join(pythons) or 'no Python'}, {arch}, glibc {probe.get('glibc', 'unknown')}"
    locked = ", ".join(sorted(targets)) or "nothing"
    return None, f"the host has {has}; locked is {locked}"


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


@lru_cache(maxsize=256)
def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
