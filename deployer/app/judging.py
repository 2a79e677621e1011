"""Asks engines on the hosts about the options that a plan changes, where they can tell already. What they take is kept on this
machine, so that the next plan does not ask again; a no is not kept: who mended something is not told an old story. A plan that
changes nothing asks nobody. Called by planning and the doctor.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.app.saved import note, own_folder
from deployer.plan.model import Plan
from deployer.state.observed import Observed

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet
    from deployer.plan.judging import Answer, Question

FILE = Path(".deployer") / "judged.json"
KEPT = 500


def judged(fleet: "Fleet", plan: Plan, observed: Observed) -> Plan:
    """The same plan with what engines say of its options."""
    if plan.empty:
        return plan
    from deployer.plan import judging

    asked = judging.questions(plan, observed)
    if not asked:
        return plan
    known = _known(fleet.root, asked)
    wanted = judging.spread(q for q in asked if q.key not in known)
    answers = {**known, **(_ask(fleet, wanted) if wanted else {})}
    return judging.with_answers(plan, asked, answers)


def _ask(fleet: "Fleet", wanted: "Mapping[str, Sequence[Question]]") -> "dict[str, Answer]":
    from deployer.execute.judge import TIMEOUT_S, judge_hosts

    names = sorted({name for mine in wanted.values() for question in mine for name in question.deployments})
    hosts = ", ".join(wanted) if len(wanted) <= 3 else f"{len(wanted)} hosts"
    whose = ", ".join(names) if len(names) <= 3 else f"{len(names)} deployments"
    fleet.narrate(f"asking the engine on {hosts} about the changed options of {whose} (seconds; at most {TIMEOUT_S:g}) …")
    answers = judge_hosts(fleet.pool, fleet.spec, wanted)
    _keep(fleet.root, {key: a.host for key, a in answers.items() if a.state == "well"})
    return answers


def _known(root: Path, asked: "Sequence[Question]") -> "dict[str, Answer]":
    """What an engine took before on one of the hosts that could be asked."""
    from deployer.plan.judging import Answer

    kept, found = _read(root), {}
    for question in asked:
        host = kept.get(question.key, {}).get("host")
        if host is not None and host in question.hosts:
            found[question.key] = Answer(host, "well")
    return found


def _read(root: Path) -> dict[str, dict[str, str]]:
    """Key → {"host", "at"}. Empty when there is none, or it cannot be read."""
    try:
        found = json.loads((root / FILE).read_text(encoding="utf-8"))
        return {str(key): {"host": str(one["host"]), "at": str(one["at"])} for key, one in found.items()}
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}


def _keep(root: Path, told: Mapping[str, str]) -> None:
    """Without it an engine is only asked again."""
    if not told:
        return
    at = datetime.now(UTC).isoformat(timespec="seconds")
    both = {**{k: v for k, v in _read(root).items() if k not in told}, **{k: {"host": h, "at": at} for k, h in told.items()}}
    with contextlib.suppress(OSError):
        own_folder(root)
    note(root, FILE, dict(list(both.items())[-KEPT:]))
