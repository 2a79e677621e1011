"""Where a deployment answers, and how to ask it. Pure. Called by app for `endpoint`, `status` and `predict`."""

import json
from dataclasses import dataclass
from typing import Any

from deployer.plan.roster import Roster
from deployer.spec.models import FleetSpec


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url` ends in /v1. `loopback`: it answers only on the gateway's own host. `keys`: a client must send one."""

    name: str
    url: str
    model: str
    gateway: str
    loopback: bool
    keys: bool

    @property
    def curl(self) -> str:
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": "Hello"}]})
        key = " \\\n  -H 'Authorization: Bearer YOUR_KEY'" if self.keys else ""
        return f"curl {self.url}/chat/completions \\\n  -H 'Content-Type: application/json'{key} \\\n  -d '{body}'"

    @property
    def python(self) -> str:
        key = "YOUR_KEY" if self.keys else "none"
        return (
            "from openai import OpenAI\n"
            f'client = OpenAI(base_url="{self.url}", api_key="{key}")\n'
            f'answer = client.chat.completions.create(model="{self.model}", messages=[{{"role": "user", "content": "Hello"}}])\n'
            "print(answer.choices[0].message.content)"
        )

    def json(self) -> dict[str, Any]:
        return {"name": self.name, "url": self.url, "model": self.model, "curl": self.curl, "python": self.python}


def gateways(fleet: FleetSpec, hosts: list[str]) -> tuple[str, ...]:
    """Hosts that carry an endpoint with replicas on `hosts`: the named ones, else the one host that has the replicas."""
    named = {n for n in fleet.gateway.hosts if n in fleet.hosts} | {n for n, h in fleet.hosts.items() if h.gateway is True}
    return tuple(sorted(named)) if named else tuple(sorted(set(hosts)))[:1]


def endpoint(fleet: FleetSpec, roster: Roster, name: str) -> Endpoint | None:
    """None when it is not known yet where it will stand: nothing of it was ever applied, and no gateway is named."""
    carriers = gateways(fleet, [place.host for place in roster.by_deployment().get(name, ())])
    if not carriers:
        return None
    settings = fleet.gateway
    host = fleet.hosts.get(carriers[0])
    member = roster.members.get(carriers[0])
    address = settings.address or (host.address if host else member.address if member else None) or "127.0.0.1"
    spec = fleet.deployments.get(name)
    private = spec is not None and not spec.endpoint.keys and not spec.endpoint.open
    loopback = private or not (settings.insecure or settings.tls)
    scheme = "https" if settings.tls else "http"
    shown = "127.0.0.1" if loopback else f"[{address}]" if ":" in address else address
    url = f"{scheme}://{shown}:{settings.port}/{name}/v1"
    keys = bool(spec and spec.endpoint.keys)
    return Endpoint(name, url, name, carriers[0], loopback, keys)
