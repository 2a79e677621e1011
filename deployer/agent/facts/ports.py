"""Which ports are listened on, and by which of our units. Read from /proc and the units' cgroups."""

from __future__ import annotations

import os
import re
import socket
from typing import Any, Dict, List, Optional

from deployer.agent import files
from deployer.agent.system import System

LISTEN = "0A"
CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")


def listening(system: System, control_groups: Dict[str, str]) -> List[Dict[str, Any]]:
    """[{"port", "address", "unit"}] by port; `control_groups` maps our running units to their cgroup. A port of somebody
    else has unit None.
    """
    sockets = _sockets(system)
    owners = _owners(system, control_groups, {inode for _, _, inode in sockets}) if sockets else {}
    found = {(port, address): owners.get(inode) for port, address, inode in sockets}
    return [{"port": port, "address": address, "unit": found[port, address]} for port, address in sorted(found)]


def _sockets(system: System) -> List[Any]:
    found = []
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        try:
            text = files.read(system, "/proc/net/" + name) or b""
        except OSError:
            continue
        for line in text.decode("ascii", "replace").splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == LISTEN:
                address, _, port = words[1].partition(":")
                found.append((int(port, 16), _address(address, family), words[9]))
    return found


def _address(text: str, family: int) -> str:
    """The kernel writes addresses as host-order words of 32 bits."""
    data = bytes.fromhex(text)
    swapped = b"".join(data[i : i + 4][::-1] for i in range(0, len(data), 4))
    return socket.inet_ntop(family, swapped)


def _owners(system: System, control_groups: Dict[str, str], wanted: Any) -> Dict[str, str]:
    """Socket inode → unit. Only processes of our units are looked at: few, however busy the host is."""
    owners = {}
    for unit, group in control_groups.items():
        for pid in pids(system, group):
            folder = system.path("/proc/%s/fd" % pid)
            try:
                names = os.listdir(folder)
            except OSError:
                continue
            for name in names:
                try:
                    target = os.readlink(os.path.join(folder, name))
                except OSError:
                    continue
                inode = target[8:-1] if target.startswith("socket:[") else ""
                if inode in wanted:
                    owners[inode] = unit
    return owners


def pids(system: System, group: str) -> List[str]:
    """Processes of a cgroup and of those below it (a container of an engine makes some)."""
    for base in CGROUPS:
        real = system.path(base + group)
        if group and os.path.isdir(real):
            found: List[str] = []
            for folder, _folders, names in os.walk(real):
                if "cgroup.procs" in names:
                    try:
                        with open(os.path.join(folder, "cgroup.procs")) as file:
                            found += file.read().split()
                    except OSError:
                        continue
            return found
    return []


def unit_of(system: System, pid: int) -> Optional[str]:
    """The systemd unit a process runs in, from its cgroup; None when it is in none or is gone."""
    try:
        text = (files.read(system, "/proc/%d/cgroup" % pid) or b"").decode("utf-8", "replace")
    except OSError:
        return None
    found = re.findall(r"/([^/\n]+\.service)(?=/|$)", text, re.M)
    return found[-1] if found else None
