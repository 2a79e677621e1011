"""The rules of `policies/` over the deployments: which are broken, where, and by which line of which rule. Pure. Called by
make for a plan, and by app.checking for what the files alone tell.

A rule sees a deployment as its files say it, defaults filled in, durations in seconds and sizes in bytes, with three facts beside
it: `locked` (of its model), `placed` (where the plan puts it), `fleet`. What is not there is null, so that a rule about it fails
unless it allows that.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.plan.artifacts import locked_model
from deployer.plan.model import Notice, Refusal
from deployer.plan.record import source_json
from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, FleetSpec, PolicySpec
from deployer.spec.positions import Positions
from deployer.spec.source import Source
from deployer.state.locked import Locked

Fragment = Mapping[str, Any]
_FACTS = {"locked": ("model",), "placed": ("placement",), "fleet": ()}


@dataclass(frozen=True, slots=True)
class Broken:
    """One requirement that one deployment does not keep. `source`: of the deployment; `rule`: of the policy."""

    policy: PolicySpec
    deployment: str
    why: str
    source: Source | None
    rule: Source | None

    @property
    def what(self) -> str:
        return f"{self.deployment}: {self.policy.message}"

    @property
    def details(self) -> tuple[str, ...]:
        return (self.why, f"policy {self.policy.name}{f', {self.rule}' if self.rule else ''}")

    def json(self) -> dict[str, Any]:
        return {
            "policy": self.policy.name,
            "level": self.policy.level,
            "deployment": self.deployment,
            "message": self.policy.message,
            "why": self.why,
            "hint": self.policy.hint,
            "source": source_json(self.source),
            "rule": source_json(self.rule),
        }


def refusals(found: Iterable[Broken]) -> Iterator[Refusal]:
    for one in found:
        if one.policy.level == "deny":
            yield Refusal("policy", one.what, one.details, one.policy.hint, deployment=one.deployment, source=one.source)


def notices(found: Iterable[Broken]) -> Iterator[Notice]:
    for one in found:
        if one.policy.level == "warn":
            said = [*one.details, *([one.policy.hint] if one.policy.hint else []), *([str(one.source)] if one.source else [])]
            yield Notice("policy", one.what, "\n".join(said), deployment=one.deployment, source=one.source)


def of_plan(world: World, planned: Sequence[DeploymentSpec], places: Iterable[Place]) -> tuple[Broken, ...]:
    """What the deployments of this plan break."""
    if not world.fleet.policies:
        return ()
    hosts: dict[str, set[str]] = {spec.name: set() for spec in planned}
    for place in places:
        hosts.setdefault(place.deployment, set()).add(place.host)
    return tuple(broken(world.fleet, world.positions, planned, world.locked, hosts))


def broken(
    fleet: FleetSpec,
    positions: Positions,
    deployments: Iterable[DeploymentSpec],
    locked: Locked | None,
    hosts: Mapping[str, Iterable[str]] | None,
) -> Iterator[Broken]:
    """`locked` and `hosts` (by deployment) are None while they are not known: what asks for them is left for later."""
    unknown = {name for name, fact in (("locked", locked), ("placed", hosts)) if fact is None}
    rules = [rule for _, policy in sorted(fleet.policies.items()) if (rule := _Rule.of(policy, unknown)) is not None]
    asked = {_root(path) for rule in rules for path in (*rule.match, *rule.require)}
    for spec in deployments if rules else ():
        document = _document(fleet, spec, locked, hosts, asked)
        for rule in rules:
            if spec.name not in rule.policy.exempt:
                yield from rule.broken(spec.name, document, positions)


def waiting(fleet: FleetSpec, *, locked: bool) -> tuple[str, ...]:
    """Policies of which something is only known to a plan."""
    unknown = {"placed"} if locked else {"placed", "locked"}
    return tuple(
        name
        for name, policy in sorted(fleet.policies.items())
        if any(_root(p) in unknown for p in (*policy.match, *policy.require))
    )


def _root(path: str) -> str:
    return path.partition(".")[0]


def _document(
    fleet: FleetSpec, spec: DeploymentSpec, locked: Locked | None, hosts: Mapping[str, Iterable[str]] | None, asked: set[str]
) -> dict[str, Any]:
    """Of the deployment's own fields only those that a rule asks for: of thousands of deployments, the rest takes long."""
    found = spec.model_dump(mode="json", include=asked - {"engine"})
    if "engine" in asked:
        found["engine"] = {spec.engine.name: spec.engine.settings.model_dump(mode="json")}
    found["fleet"] = {"name": fleet.name, "environment": fleet.environment}
    model = locked_model(locked, spec) if locked else None
    if model is not None:
        facts = model.facts
        found["locked"] = {
            "name": model.name,
            "license": facts.license,
            "gated": facts.gated,
            "size": model.bytes,
            "context": facts.context,
            "quantization": facts.quantization,
            "architectures": list(facts.architectures),
        }
    if hosts is not None:
        found["placed"] = {"hosts": sorted(hosts.get(spec.name, ()))}
    return found


class _Rule:
    """A policy with its fragments ready to be asked."""

    def __init__(self, policy: PolicySpec, require: Mapping[str, Fragment]) -> None:
        from jsonschema import Draft202012Validator  # late: a fleet without policies needs none of it

        self.policy = policy
        self.match = {path: Draft202012Validator(dict(fragment)) for path, fragment in policy.match.items()}
        self.require = {path: Draft202012Validator(dict(fragment)) for path, fragment in require.items()}

    @classmethod
    def of(cls, policy: PolicySpec, unknown: set[str]) -> "_Rule | None":
        """None when it cannot be asked yet."""
        require = {path: fragment for path, fragment in policy.require.items() if _root(path) not in unknown}
        if not require or any(_root(path) in unknown for path in policy.match):
            return None
        return cls(policy, require)

    def broken(self, name: str, document: Mapping[str, Any], positions: Positions) -> Iterator[Broken]:
        if not all(fragment.is_valid(_at(document, path)) for path, fragment in self.match.items()):
            return
        for path, fragment in self.require.items():
            value = _at(document, path)
            error = next(iter(fragment.iter_errors(value)), None)
            if error is not None:
                parts = _FACTS.get(_root(path), tuple(path.split(".")))
                source = positions.of(f"deployment:{name}", *parts)
                rule = positions.of(f"policy:{self.policy.name}", "require", path)
                yield Broken(self.policy, name, _why(path, value, error), source, rule)


def _at(document: Mapping[str, Any], path: str) -> Any:
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _why(path: str, value: Any, error: Any) -> str:
    """What it is and what it should be, as "replicas is 1: 1 is less than the minimum of 2"."""
    shown = "not set" if value is None else "a mapping" if isinstance(value, dict) else str(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    wanted = error.schema.get("enum") if error.validator == "enum" else None
    if wanted is not None:
        return f"{path} is {shown}, not one of {', '.join(map(str, wanted))}"[:300]
    if error.validator == "const":
        return f"{path} is {shown}, not {error.validator_value}"[:300]
    if error.validator in ("minItems", "maxItems") and not error.absolute_path:
        word = "at least" if error.validator == "minItems" else "at most"
        return f"{path} is {shown}: {len(value)}, not {word} {error.validator_value}"
    return f"{path} is {shown}: {error.message}"[:300]
