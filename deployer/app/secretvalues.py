"""The secrets that the fleet's files refer to: found when they are needed, kept in memory, never printed. Used by plan and
apply; `mask` takes every value that was read out of a text that is about to be written somewhere.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deployer.agent.wire import secret_fingerprint
from deployer.plan.model import Notice, Plan
from deployer.spec.models import FleetSpec, SecretRef
from deployer.spec.secrets import Secret, resolve
from deployer.state.observed import Observed, Reached


def references(fleet: FleetSpec) -> dict[str, SecretRef]:
    """Every secret reference of the files, by id."""
    found: list[SecretRef] = []
    for deployment in fleet.deployments.values():
        if deployment.model.token is not None:
            found.append(deployment.model.token)
        found += [adapter.token for adapter in deployment.adapters if adapter.token is not None]
        kafka = deployment.logging.kafka
        found += [kafka.password] if kafka is not None and kafka.password is not None else []
        found += [key.secret for key in deployment.endpoint.keys if key.secret is not None]
    if fleet.gateway.tls is not None:
        found.append(fleet.gateway.tls.key)
    return {ref.id: ref for ref in found}


def told(fleet: FleetSpec) -> dict[str, SecretRef]:
    """Those that only this machine uses, to say what came of an apply: no plan depends on them and no host gets them."""
    everyone = [*fleet.notify, *(one for deployment in fleet.deployments.values() for one in deployment.notify)]
    found = [ref for one in everyone for ref in (*([one.webhook_from] if one.webhook_from else []), *one.headers.values())]
    return {ref.id: ref for ref in found}


class SecretValues:
    """Each reference is read at most once per command. A value that is not here is None: "kept as on the host"; one that is
    here and cannot be used (a command that fails) raises Refused.
    """

    def __init__(self, root: Path, fleet: FleetSpec) -> None:
        self._root = root
        self._planned = references(fleet)
        self._refs = told(fleet) | self._planned
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
            for secret_id in self._planned if key else ():
                value = self.reveal(secret_id)
                found[host, secret_id] = secret_fingerprint(str(key), value) if value is not None else None
        return found

    def say_absent(self, plan: Plan) -> Plan:
        """The plan, with a notice for every secret that apply will want and that is not on this machine."""
        absent = [secret_id for secret_id in sorted(self._planned) if self.get(secret_id) is None]
        if not absent or not plan.changes:
            return plan
        from deployer.plan.steps import secrets_needed  # late: it brings the planner

        needed = {host: secrets_needed(plan, host) for host in sorted({change.host for change in plan.changes})}
        notices = list(plan.notices)
        for secret_id in absent:
            hosts = [host for host, ids in needed.items() if secret_id in ids]
            if hosts:
                kind, _, name = secret_id.partition(":")
                hint = f"before apply: export {name}=…" if kind == "env" else "apply it where it is at hand"
                what = f"the secret {secret_id} is not at hand here; apply needs it for {', '.join(hosts)}"
                notices.append(Notice("secret", what, hint))
        return replace(plan, notices=tuple(notices))


#: Every value that this process has read, so that texts for people can be cleaned of them.
_SEEN: list[Secret] = []


def mask(text: str) -> str:
    """The text without any secret that was read."""
    for value in sorted({secret.reveal() for secret in _SEEN}, key=len, reverse=True):
        text = text.replace(value, "•••")
    return text
