"""The network of a lab: a bridge of its own with 10.87.<number>.0/24, one namespace and veth pair per host, a way out.

Called by `lab.lab`. What exists is asked from the kernel, so everything here can be done twice and undone twice.
"""

import json
from pathlib import Path

from deployer.errors import DeployerError
from deployer.lab import kernel
from deployer.lab.places import HostRecord, LabRecord, all_records
from deployer.lab.shell import run, succeeds

NETWORKS = range(1, 255)


def choose_network() -> int:
    """A number no other lab, link or route of this machine uses. Call it under `kernel.lock_file`."""
    taken = {record.network for record in all_records()}
    links = {link["ifname"] for link in json.loads(run(["ip", "-json", "link", "show"]))}
    routes = [str(route.get("dst", "")) for route in json.loads(run(["ip", "-json", "route", "show", "table", "all"]))]
    for number in NETWORKS:
        mine = f"10.87.{number}."
        if number not in taken and f"dlab{number}" not in links and not any(route.startswith(mine) for route in routes):
            return number
    raise DeployerError("no free network for another lab", hint="`deployer lab down` the labs you do not need")


def bridge(lab: LabRecord) -> str:
    return f"dlab{lab.network}"


def veth(lab: LabRecord, host: HostRecord) -> str:
    """This machine's end of the host's cable."""
    return f"dl{lab.network}-{host.number}"


def namespace(lab: LabRecord, host: HostRecord) -> str:
    return f"dlab{lab.network}-{host.name}"


def _rules(lab: LabRecord) -> list[tuple[str, list[str]]]:
    net = f"10.87.{lab.network}.0/24"
    return [
        ("nat", ["POSTROUTING", "-s", net, "!", "-d", net, "-j", "MASQUERADE"]),
        ("filter", ["FORWARD", "-s", net, "-j", "ACCEPT"]),
        ("filter", ["FORWARD", "-d", net, "-j", "ACCEPT"]),
    ]


def raise_bridge(lab: LabRecord) -> None:
    """Makes the bridge and the way out unless they are there."""
    name = bridge(lab)
    if not Path(f"/sys/class/net/{name}").exists():
        run(["ip", "link", "add", name, "type", "bridge"])
        run(["ip", "addr", "add", f"10.87.{lab.network}.1/24", "dev", name])
        run(["ip", "link", "set", name, "up"])
    for table, rule in _rules(lab):
        if not succeeds(["iptables", "-w", "-t", table, "-C", *rule]):
            run(["iptables", "-w", "-t", table, "-I", *rule])
    kernel.prepare()


def remove_bridge(lab: LabRecord) -> None:
    """Takes the bridge and its rules away; the last lab also puts the kernel's settings back."""
    for table, rule in _rules(lab):
        while succeeds(["iptables", "-w", "-t", table, "-D", *rule]):
            pass
    if Path(f"/sys/class/net/{bridge(lab)}").exists():
        run(["ip", "link", "del", bridge(lab)])
    kernel.restore(lab)


def plug_in(lab: LabRecord, host: HostRecord) -> None:
    """Gives the host its namespace and cable unless it has them."""
    name, ours = namespace(lab, host), veth(lab, host)
    if not Path(f"/run/netns/{name}").exists():
        run(["ip", "netns", "add", name])
    if Path(f"/sys/class/net/{ours}").exists():
        return
    run(["ip", "link", "add", ours, "type", "veth", "peer", "name", "host0", "netns", name])
    run(["ip", "link", "set", ours, "master", bridge(lab), "up"])
    inside = [
        "link set lo up",
        f"addr add {lab.address(host)}/24 dev host0",
        "link set host0 up",
        f"route add default via 10.87.{lab.network}.1",
    ]
    run(["ip", "-n", name, "-batch", "-"], stdin="\n".join(inside) + "\n")


def unplug(lab: LabRecord, host: HostRecord) -> None:
    """Takes the host's cable and namespace away."""
    if Path(f"/sys/class/net/{veth(lab, host)}").exists():
        succeeds(["ip", "link", "del", veth(lab, host)])
    if Path(f"/run/netns/{namespace(lab, host)}").exists():
        run(["ip", "netns", "del", namespace(lab, host)])


def set_cable(lab: LabRecord, host: HostRecord, *, connected: bool) -> None:
    """Cuts or heals the host's cable: packets are lost, nobody is told."""
    run(["ip", "link", "set", veth(lab, host), "up" if connected else "down"])


def is_connected(lab: LabRecord, host: HostRecord) -> bool:
    try:
        flags = int(Path(f"/sys/class/net/{veth(lab, host)}/flags").read_text(), 16)
    except OSError:
        return False
    return bool(flags & 1)
