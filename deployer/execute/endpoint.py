"""Where a deployment answers, and how to ask it. Pure. Called by app for `endpoint`, `status` and `predict`."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.plan.roster import Roster
from deployer.spec.models import FleetSpec

_SPEECH = ("audio/transcriptions",)
_CHAT = {"messages": [{"role": "user", "content": "Hello"}]}
_BODIES = {"embeddings": {"input": "Hello"}, "translate": {"text": "Hello"}}
#: What is asked → the call of OpenAI's client, and what of its answer is shown.
_PYTHON = {
    "chat/completions": (
        'client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Hello"}}])',
        "answer.choices[0].message.content",
    ),
    "embeddings": ('client.embeddings.create(model="{model}", input="Hello")', "answer.data[0].embedding"),
    "audio/transcriptions": (
        'client.audio.transcriptions.create(model="{model}", file=open("speech.wav", "rb"))',
        "answer.text",
    ),
}
#: What stands in for a chat where people would chat.
_PYTHON["translate"] = _PYTHON["chat/completions"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url` ends in /v1. `loopback`: it answers only on the gateway's own host. `keys`: a client must send one. `body`: what its
    own question at the start asks, for a route that is nobody's standard.
    """

    name: str
    url: str
    model: str
    gateway: str
    loopback: bool
    keys: bool
    asked: str = "chat/completions"  # below the URL: what this kind of model can answer
    body: Mapping[str, Any] | None = None

    @property
    def chats(self) -> bool:
        return self.asked in ("chat/completions", "translate")

    @property
    def curl(self) -> str:
        key = " \\\n  -H 'Authorization: Bearer YOUR_KEY'" if self.keys else ""
        if self.asked in _SPEECH:
            return f"curl {self.url}/{self.asked}{key} \\\n  -F model={self.model} -F file=@speech.wav"
        body = shlex.quote(json.dumps(self._body, ensure_ascii=False))
        return f"curl {self.url}/{self.asked} \\\n  -H 'Content-Type: application/json'{key} \\\n  -d {body}"

    @property
    def _body(self) -> dict[str, Any]:
        return {"model": self.model, **(_BODIES.get(self.asked) or self.body or _CHAT)}

    @property
    def python(self) -> str:
        key = "YOUR_KEY" if self.keys else "none"
        head = f'from openai import OpenAI\nclient = OpenAI(base_url="{self.url}", api_key="{key}")\n'
        known = _PYTHON.get(self.asked)
        if known is None:
            call = f'client.post("/{self.asked}", cast_to=httpx.Response, body={self._body!r})'
            return f"import httpx\n{head}answer = {call}\nprint(answer.json())"
        call, result = known
        return f"{head}answer = {call.format(model=self.model)}\nprint({result})"

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
