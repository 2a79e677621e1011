"""`deployer hosts`: the machines of the fleet: list, probe, trust."""

import argparse
from typing import Any

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet
from deployer.state.observed import Observed, Reached, Unreached

EXAMPLES = ("deployer hosts list", "deployer hosts probe gpu-01 --verify", "deployer hosts trust gpu-01")


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = shared.verbs(parser)
    listing = verbs.add_parser("list", help="the hosts as their files say")
    probe = verbs.add_parser("probe", help="ask them what they are and have")
    probe.add_argument("--verify", action="store_true", help="read the digests of all artifacts again")
    trust = verbs.add_parser(
        "trust", help="fetch keys (default: those not pinned yet), show them, pin them once a person says yes"
    )
    trust.add_argument("-y", "--yes", action="store_true", help="the fingerprint was checked elsewhere")
    for verb in (listing, probe, trust):
        verb.add_argument("names", metavar="HOST", nargs="*")
        shared.chdir_again(verb)
        shared.as_json(verb)


def run(args: argparse.Namespace) -> int:
    with open_fleet(args) as fleet:
        fleet.known(hosts=args.names)
        names = args.names or sorted(fleet.spec.hosts)
        if not names:
            console.say("no hosts yet: write hosts/NAME.yaml, or try deployer lab up 1")
            return 0
        if args.verb == "trust":
            from deployer.cli.trust import trust

            wanted = args.names or [n for n, h in fleet.spec.hosts.items() if h.connection == "ssh" and h.host_key is None]
            return trust(fleet, wanted, yes=args.yes, as_json=args.json)
        if args.verb == "probe":
            observed = fleet.probe(names, verify=args.verify)
            _probed(observed, as_json=args.json)
            broken = [a for found in _reached(observed) for a in found.probe.get("artifacts", ()) if a.get("verified") is False]
            silent = len(observed) - len(_reached(observed))
            return 1 if broken else 6 if silent else 0
        _listed([fleet.spec.hosts[name] for name in names], as_json=args.json)
    return 0


def _reached(observed: Observed) -> list[Reached]:
    return [found for found in observed.values() if isinstance(found, Reached)]


def _listed(hosts: list[Any], *, as_json: bool) -> None:
    if as_json:
        console.emit({"hosts": [host.model_dump(mode="json") for host in hosts]})
        return
    rows: list[tuple[str, ...]] = [("HOST", "ADDRESS", "USER", "STATE", "LABELS", "KEY")]
    for host in hosts:
        labels = " ".join(f"{name}={value}" for name, value in sorted(host.labels.items())) or "–"
        key = "pinned" if host.host_key else "known_hosts" if host.connection == "ssh" else "–"
        rows.append((host.name, host.address or "this machine", host.user or "–", host.state, labels, key))
    console.out(console.table(rows))


def _probed(observed: Observed, *, as_json: bool) -> None:
    if as_json:
        console.emit({"hosts": [_json(name, found) for name, found in observed.items()]})
        return
    for name, found in observed.items():
        console.out(_text(name, found.probe, found.seconds) if isinstance(found, Reached) else _silent(name, found))


def _json(name: str, found: Any) -> dict[str, Any]:
    if not isinstance(found, Reached):
        return {"name": name, "reachable": False, "kind": found.kind, "error": found.message, "hint": found.hint}
    probe = {key: value for key, value in found.probe.items() if key != "secret_key"}
    return {"name": name, "reachable": True, "seconds": round(found.seconds, 3), **probe}


def _silent(name: str, found: Unreached) -> str:
    return f"? {name}  {found.message}" + (f"\n    {found.hint}" if found.hint else "")


def _text(name: str, probe: Any, seconds: float) -> str:
    from deployer.plan.words import count, size

    gpus = probe.get("gpus", ())
    mark = "✓" if console.unicode() else "ok"
    lines = [
        f"{mark} {name}  {probe.get('os', '?')}, {probe.get('arch', '?')}, systemd {probe.get('systemd', '?')}  ({seconds:.1f} s)"
    ]
    memory = size(int(probe.get("memory_total", 0)))
    disks = ", ".join(f"{path} {size(d['free'])} free" for path, d in sorted(probe.get("disks", {}).items()))
    pythons = " ".join(probe.get("python", ())) or "none"
    lines.append(f"    {count(int(probe.get('cpus', 0)), 'CPU')}, {memory}; Python {pythons}; {disks}")
    for gpu in gpus:
        lines.append(f"    GPU {gpu['index']}  {gpu['name']}  {size(gpu.get('memory_total', 0))}  {gpu['uuid']}")
    if probe.get("gpu_error"):
        lines.append(f"    GPUs: {probe['gpu_error']}")
    artifacts = probe.get("artifacts", ())
    broken = [a["path"] for a in artifacts if a.get("verified") is False]
    lines.append(f"    {count(len(artifacts), 'artifact')}, {count(len(probe.get('units', ())), 'unit')} of ours")
    lines += [f"    ✗ its files are not what they should be: {path}; deployer plan makes it again" for path in broken]
    return "\n".join(lines)
