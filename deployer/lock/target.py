"""What an environment is resolved for: a Python, a processor, a C library. Used by environment.py, check.py and file.py."""

import re
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from deployer.errors import LockfileError
from deployer.state.needs import EnvironmentNeed

_SHAPE = re.compile(r"(?P<python>3\.\d{1,2})/(?P<arch>x86_64|aarch64)/glibc-(?P<glibc>2\.\d{1,2})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True)
class Target:
    """ "3.11/x86_64/glibc-2.36" in its parts."""

    python: str
    arch: str
    glibc: str

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Raises LockfileError when `text` is not PYTHON/ARCH/glibc-VERSION."""
        match = _SHAPE.fullmatch(text)
        if match is None:
            raise LockfileError(
                f"the target {text!r} is not one we can resolve for",
                hint="write it as PYTHON/ARCH/glibc-VERSION, for example 3.11/x86_64/glibc-2.36 (x86_64 or aarch64)",
            )
        return cls(**match.groupdict())

    @property
    def platform(self) -> str:
        """As uv's --python-platform wants it."""
        return f"{self.arch}-manylinux_{self.glibc.replace('.', '_')}"

    def __str__(self) -> str:
        return f"{self.python}/{self.arch}/glibc-{self.glibc}"


def lock_path(environment: str, target: str) -> str:
    """Where the requirements of one environment for one target are kept, relative to the fleet."""
    if not _NAME.fullmatch(environment) or ".." in environment:
        raise LockfileError(f"the environment's name {environment!r} cannot be a file name", hint="check the engine's version")
    Target.parse(target)
    return f"locks/{environment}.{target.replace('/', '-')}.txt"


def wanted_targets(need: EnvironmentNeed, targets: tuple[str, ...]) -> tuple[str, ...]:
    """The fleet's targets whose Python this environment can use. Raises LockfileError when there is none."""
    try:
        allowed = SpecifierSet(need.python or "")
    except InvalidSpecifier:
        raise LockfileError(f"{need.name} asks for the Python {need.python!r}, which is not a version range") from None
    fitting = tuple(sorted({t for t in targets if allowed.contains(Target.parse(t).python)}))
    if not fitting:
        raise LockfileError(
            f"{need.name} needs Python {need.python}, and no target has it (targets: {', '.join(targets) or 'none'})",
            where="deployer.yaml",
            hint="add a target under packages.targets, for example 3.11/x86_64/glibc-2.36",
        )
    return fitting
