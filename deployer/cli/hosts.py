"""`deployer hosts`: the machines of the fleet: list, probe, trust; cordon, drain and uncordon are in cordon.py."""

import argparse
from collections.abc import Mapping
from typing import Any

from deployer.app.times import ago
from deployer.cli import arguments as shared
from deployer.cli import console, cordon
from deployer.cli.fleet import open_fleet
from deployer.execute.standing import HostState
from deployer.state.observed import Observed, Reached, Unreached

EXAMPLES = (
    "deployer hosts list",
    "deployer hosts probe gpu-01 --verify",
    "deployer hosts trust gpu-01",
    "deployer hosts drain gpu-01 --why 'new power supply' --until 4h",
    "deployer hosts uncordon gpu-01 --yes",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = shared.verbs(parser)
    listing = verbs.add_parser("list", help="the hosts as their files say, and what people hold")
    listing.add_argument("--files", action="store_true", help="ask no host: only what the files say")
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
    cordon.arguments(verbs)


def run(args: argparse.Namespace) -> int:
    if args.verb in cordon.VERBS:
        return cordon.run(args)
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
        status = None if args.files else fleet.status(("",), observed=fleet.probe(names, gpus=False))
        found = {host.name: host for host in status.hosts} if status else {}
        _listed([fleet.spec.hosts[name] for name in names], found, as_json=args.json)
    return 0


def _reached(observed: Observed) -> list[Reached]:
    return [found for found in observed.values() if isinstance(found, Reached)]


def _listed(hosts: list[Any], found: Mapping[str, HostState], *, as_json: bool) -> None:
    """`found`: what is known of them besides their files; nothing when nobody was asked."""
    if as_json:
        console.emit({"hosts": [{**host.model_dump(mode="json"), **_more(found.get(host.name))} for host in hosts]})
        return
    rows: list[tuple[str, ...]] = [("HOST", "ADDRESS", "USER", "STATE", "LABELS", "KEY")]
    for host in hosts:
        labels = " ".join(f"{name}={value}" for name, value in sorted(host.labels.items())) or "–"
        key = "pinned" if host.host_key else "known_hosts" if host.connection == "ssh" else "–"
        rows.append(
            (host.name, host.address or "this machine", host.user or "–", _state(host.state, found.get(host.name)), labels, key)
        )
    console.out(console.table(rows))
    for one in found.values():
        if one.hold:
            why = f" ({one.hold['why']})" if one.hold.get("why") else ""
            until = f", until {one.hold['until']}" if one.hold.get("until") else ""
            console.out(f"{one.name}: {one.hold['kind']} by {one.hold['who']}, {ago(one.hold['at'])}{until}{why}")
    silent = [one.name for one in found.values() if not one.reachable]
    if silent:
        console.say(f"{', '.join(silent)} did not answer: deployer hosts probe says why")


def _state(said: str, found: HostState | None) -> str:
    return said if found is None else found.state


def _more(found: HostState | None) -> dict[str, Any]:
    return {} if found is None else {"reachable": found.reachable, "hold": found.json()["hold"]}


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
