"""The secrets that the fleet's files refer to: found when they are needed, kept in memory, never printed. Used by plan and
apply; `mask` takes every value that was read out of a text that is about to be written somewhere.
"""

from collections.abc import Mapping
from pathlib import Path

from deployer.agent.wire import secret_fingerprint
from deployer.spec.models import FleetSpec, SecretRef
from deployer.spec.secrets import Secret, resolve
from deployer.state.observed import Observed, Reached


def references(fleet: FleetSpec) -> dict[str, SecretRef]:
    """Every secret reference of the files, by id."""
    found: list[SecretRef] = []
    for deployment in fleet.deployments.values():
        if deployment.model.token is not None:
            found.append(deployment.model.token)
        found += [key.secret for key in deployment.endpoint.keys if key.secret is not None]
    if fleet.gateway.tls is not None:
        found.append(fleet.gateway.tls.key)
    return {ref.id: ref for ref in found}


class SecretValues:
    """Each reference is read at most once per command. A value that is not here is None: "kept as on the host"; one that is
    here and cannot be used (a command that fails) raises Refused.
    """

    def __init__(self, root: Path, fleet: FleetSpec) -> None:
        self._root = root
        self._refs = references(fleet)
        self._read: dict[str, Secret | None] = {}

    def get(self, secret_id: str) -> Secret | None:
        if secret_id not in self._read:
            ref = self._refs.get(secret_id)
            found = resolve(ref, self._root) if ref is not None else None
            self._read[secret_id] = found
            if found is not None:
                _SEEN.append(found)
        return self._read[secret_id]

    def reveal(self, secret_id: str) -> str | None:
        found = self.get(secret_id)
        return found.reveal() if found is not None else None

    def fingerprints(self, observed: Observed) -> Mapping[tuple[str, str], str | None]:
        """For each host that answered and each reference: the keyed fingerprint of the value at hand, or None."""
        found: dict[tuple[str, str], str | None] = {}
        for host, reached in observed.items():
            key = reached.probe.get("secret_key") if isinstance(reached, Reached) else None
            for secret_id in self._refs if key else ():
                value = self.reveal(secret_id)
                found[host, secret_id] = secret_fingerprint(str(key), value) if value is not None else None
        return found


#: Every value that this process has read, so that texts for people can be cleaned of them.
_SEEN: list[Secret] = []


def mask(text: str) -> str:
    """The text without any secret that was read."""
    for value in sorted({secret.reveal() for secret in _SEEN}, key=len, reverse=True):
        text = text.replace(value, "•••")
    return text
