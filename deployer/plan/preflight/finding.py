"""Findings and what they become in a plan: a refusal, or a line that warns. Called by make, codec, text and the doctor."""

from collections.abc import Iterable

from deployer.plan.model import Finding, Plan, Refusal

REFUSE, WARN = "refuse", "warn"

#: Why it matters, for refusals of older guards that do not say so themselves.
_WHY = {
    "adapter": "the engine would refuse it at the start",
    "compute-type": "the engine ends at once with a type that the device cannot do",
    "conversion": "a conversion that has no room any more in its middle fails the apply, and whatever else runs there",
    "disk": "a disk that is full in the middle fails the apply, and whatever else writes there",
    "driver": "nothing can start on a GPU whose driver does not answer",
    "fit": "the engine would end with an out-of-memory error at its start",
    "foreign": "what is not ours is never touched",
    "gpu": "the engine would refuse it at the start, when the old one may be gone",
    "host-path": "the engine has nothing to load",
    "licence": "the hub would refuse the download, and who reviews must know what is agreed to",
    "machine": "slots, GPUs and records belong to a machine; taken for another one, they would be made twice",
    "model": "the engine would refuse it at the start",
    "options": "it was asked on that host, by the engine's own parser: a start with them would end at once",
    "port": "what starts there would end at once, or answer for somebody else",
    "program": "the engine cannot start without it",
    "target": "packages are pinned by hash for a Python, an architecture and a glibc; others do not load there",
}


def refused(findings: Iterable[Finding]) -> list[Refusal]:
    return [Refusal(f.id, f.what, (f.why,), f.do, f.host, f.deployment, f.source) for f in findings if f.severity == REFUSE]


def warned(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(f for f in findings if f.severity == WARN)


def of_refusal(refusal: Refusal) -> Finding:
    """Any refusal of a plan: what its details say is why, besides what is generally so."""
    why = "; ".join([*refusal.details, *([_WHY[refusal.code]] if refusal.code in _WHY else [])])
    where = (refusal.host, refusal.deployment, refusal.source)
    return Finding(refusal.code, REFUSE, refusal.what, why, refusal.hint or "", *where)


def everything(plan: Plan) -> tuple[Finding, ...]:
    """What the plan refuses, then what it warns of."""
    return (*map(of_refusal, plan.refusals), *plan.findings)


def by_place(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Worst first, then by host and deployment; the same one only once."""
    key = dict.fromkeys(findings)
    return tuple(sorted(key, key=lambda f: (f.severity != REFUSE, f.host or "", f.deployment or "", f.id, f.what)))
