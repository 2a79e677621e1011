"""The machine itself: system, processors, memory, disks, Pythons, packages. Only files are read; no program is started."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import Any, Dict, List, Optional, Sequence

from deployer.agent import files, paths, wire
from deployer.agent.facts import boot
from deployer.agent.system import System

PROGRAM_PLACES = ("/usr/sbin", "/usr/bin", "/usr/local/sbin")
_LIST = "/var/lib/dpkg/info/%s%s.list"
PYTHON_PLACES = ("/usr/bin", "/usr/local/bin")


def machine(system: System, path_overrides: Any) -> Dict[str, Any]:
    hostname, kernel, arch, glibc = system.uname()
    memory = memory_of(system)
    return {
        "hostname": hostname,
        "machine_id": _text(system, "/etc/machine-id"),
        "boot_id": _text(system, "/proc/sys/kernel/random/boot_id"),
        "os": _os_name(system),
        "arch": arch,
        "glibc": glibc,
        "kernel": kernel,
        "systemd": systemd_version(system),
        "python": pythons(system),
        "user": system.user(),
        "cpus": cpus(system),
        "cpu_vendor": cpu_vendor(system),
        "memory_total": memory.get("MemTotal", 0),
        "memory_available": memory.get("MemAvailable", 0),
        "disks": _disks(system, path_overrides),
        "devices": _devices(system, path_overrides),
        "boot": boot.boot(system, kernel),
        "packages": package_versions(system, wire.PACKAGES),
        "brought": sorted(files.read_json(system, wire.PACKAGE_NOTES) or {}),
    }


def _text(system: System, path: str) -> str:
    try:
        return (files.read(system, path) or b"").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _os_name(system: System) -> str:
    for line in _text(system, "/etc/os-release").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip("\"'")
    return "unknown"


def cpus(system: System) -> int:
    found = len(re.findall(r"^processor\s*:", _text(system, "/proc/cpuinfo"), re.M))
    return found or os.cpu_count() or 1


def cpu_vendor(system: System) -> str:
    """Engines choose by it: the fastest library for a CPU of Intel's is Intel's own."""
    found = re.search(r"^vendor_id\s*:\s*(\S+)", _text(system, "/proc/cpuinfo"), re.M)
    return found.group(1) if found else ""


def memory_of(system: System) -> Dict[str, int]:
    """/proc/meminfo, in bytes."""
    found = {}
    for line in _text(system, "/proc/meminfo").splitlines():
        words = line.split()
        if len(words) >= 2 and words[1].isdigit():
            found[words[0].rstrip(":")] = int(words[1]) * 1024
    return found


def load(system: System) -> Optional[float]:
    """How many processes wanted to run, on average of the last minute."""
    words = _text(system, "/proc/loadavg").split()
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return None


def _disks(system: System, path_overrides: Any) -> Dict[str, Dict[str, int]]:
    found = {}
    for path in _places(path_overrides):
        try:
            total, free = system.disk(path)
            found[path] = {"total": total, "free": free}
        except OSError:
            continue
    return found


def _devices(system: System, path_overrides: Any) -> Dict[str, int]:
    found = {}
    for path in _places(path_overrides):
        with contextlib.suppress(OSError):
            found[path] = system.device(path)
    return found


def _places(path_overrides: Any) -> List[str]:
    return [paths.engines(path_overrides), paths.models(path_overrides), wire.ROOT_STATE]


def systemd_version(system: System) -> int:
    """From the name of systemd's own library, so that no program is started; 0 when it is not found."""
    places = ["/usr/lib/systemd", "/lib/systemd", "/usr/lib64/systemd"]
    places += ["/usr/lib/%s/systemd" % triple for triple in ("x86_64-linux-gnu", "aarch64-linux-gnu")]
    for place in places:
        try:
            names = os.listdir(system.path(place))
        except OSError:
            continue
        for name in names:
            found = re.match(r"libsystemd-(?:shared|core)-(\d+)", name)
            if found:
                return int(found.group(1))
    return 0


def pythons(system: System) -> List[str]:
    """Versions that are there; the first is /usr/bin/python3. Others are known by their file name: "3.12"."""
    found = []
    first = _version_of("/usr/bin/python3", os.path.realpath(system.path("/usr/bin/python3")))
    if first:
        found.append(first)
    for place in PYTHON_PLACES:
        try:
            names = sorted(os.listdir(system.path(place)))
        except OSError:
            continue
        for name in names:
            matched = re.match(r"python(3\.\d+)\Z", name) if name.startswith("python3.") else None
            if matched and not any(v == matched.group(1) or v.startswith(matched.group(1) + ".") for v in found):
                found.append(matched.group(1))
    return found


def _version_of(path: str, real: str) -> Optional[str]:
    if os.path.realpath(sys.executable) == real and sys.prefix == sys.base_prefix:
        return "%d.%d.%d" % sys.version_info[:3]
    matched = re.search(r"python(3\.\d+)\Z", real)
    return matched.group(1) if matched and os.path.exists(real) else None


def find_python(system: System, wanted: str) -> Optional[str]:
    """The real path of an interpreter: an absolute path of the host, or a version like "3.11"."""
    if wanted.startswith("/"):
        return system.path(wanted) if os.access(system.path(wanted), os.X_OK) else None
    minor = ".".join(wanted.split(".")[:2])
    for place in PYTHON_PLACES:
        real = system.path("%s/python%s" % (place, minor))
        if os.access(real, os.X_OK):
            return real
    return None


def package_versions(system: System, names: Sequence[str]) -> Dict[str, Optional[str]]:
    """The installed versions of Debian packages; "unknown" when a program is there but no package of its name is."""
    listed = {n for n in names if any(os.path.exists(system.path(_LIST % (n, arch))) for arch in ("", ":amd64", ":arm64"))}
    # megabytes: read once, searched by bytes and not by a pattern
    status = b"\n\n" + (files.read(system, "/var/lib/dpkg/status") or b"") if listed else b""
    found: Dict[str, Optional[str]] = {}
    for name in names:
        found[name] = _in_status(status, name) if name in listed else None
        if found[name] is None and any(os.access(system.path("%s/%s" % (p, name)), os.X_OK) for p in PROGRAM_PLACES):
            found[name] = "unknown"
    return found


def _in_status(status: bytes, name: str) -> Optional[str]:
    start = status.find(b"\nPackage: %s\n" % name.encode())
    entry = status[start + 1 : status.find(b"\n\n", start + 1)] if start >= 0 else b""
    fields = dict(line.split(b": ", 1) for line in entry.split(b"\n") if b": " in line and not line.startswith(b" "))
    if not fields.get(b"Status", b"").endswith(b" installed"):
        return None
    return fields.get(b"Version", b"unknown").decode("utf-8", "replace")


def package_version(system: System, name: str) -> Optional[str]:
    return package_versions(system, [name])[name]
