"""HAProxy, simulated: routes, keys and servers out of the configuration that the product renders."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deployer.agent.system import System


@dataclass(frozen=True)
class GatewayConfig:
    """As it was read at the last start or reload: the files' texts, and the key maps by path."""

    texts: tuple[str, ...]
    maps: dict[str, dict[str, str]]

    @classmethod
    def read(cls, system: System, unit: str) -> "GatewayConfig | None":
        found = re.search(r"^ExecStart=.*-f (\S+)", unit, re.M)
        folder = Path(system.path(found.group(1))) if found else None
        if folder is None or not folder.is_dir():
            return None
        texts = tuple(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.cfg")))
        maps = {}
        for path in re.findall(r"map_str\([\"']?([^)\"']+)", "\n".join(texts)):
            real = Path(system.path(path))
            lines = real.read_text(encoding="utf-8").splitlines() if real.is_file() else []
            maps[path] = {key: name for key, _, name in (line.partition(" ") for line in lines)}
        return cls(texts, maps)

    @property
    def ports(self) -> tuple[int, ...]:
        found = re.findall(r"^\s*bind\s+\S*:(\d+)", "\n".join(self.texts).replace('"', "").replace("'", ""), re.M)
        return tuple(sorted({int(port) for port in found}))

    def answer(self, path: str, headers: dict[str, str], local: Callable[[int], bool]) -> tuple[int, bytes]:
        """Status and body for a POST. `local` says whether an engine on this port of the host answers; servers on other
        hosts are taken to do so.
        """
        name = path.split("/")[1] if "/" in path else ""
        backend = next(
            (part for text in self.texts for part in re.split(r"^(?=backend )", text, flags=re.M) if _is(part, name)), None
        )
        if backend is None:
            return 404, b'{"error": "no such deployment"}'
        for keys in re.findall(r"map_str\([\"']?([^)\"']+)", backend):
            token = headers.get("Authorization", "").removeprefix("Bearer ")
            if hashlib.sha256(token.encode()).hexdigest() not in self.maps.get(keys, {}):
                return 401, b'{"error": "wrong key"}'
        servers = re.findall(r"^\s*server\s+\S+\s+[\"']?([^\s\"']+):(\d+)", backend, re.M)
        up = any(local(int(port)) if address in ("127.0.0.1", "localhost") else True for address, port in servers)
        return (200, completion()) if up else (503, b'{"error": "no replica is up"}')


def _is(backend: str, name: str) -> bool:
    return re.match(rf"backend [\"']?be_{re.escape(name)}[\"']?\s", backend) is not None


def completion() -> bytes:
    """What any simulated engine answers."""
    said = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "text": "hello", "finish_reason": "stop"}
    body = {"id": "simulated", "choices": [said], "data": [{"embedding": [0.0]}], "usage": {"completion_tokens": 1}}
    return json.dumps(body).encode()
