"""What is typed after `/` in the plan review, as a question to a change. Pure; used by the plan place alone.

words            all of them, anywhere in the change: host, deployment, subject, reason, file
host:gpu- dep:chat   part of the host's or the deployment's name
+ ~ - ± (or +-)  what happens; several mean one of them
downtime  drift  those that interrupt a service; those that put back what somebody changed
!word            not
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deployer.plan.counts import verb
from deployer.plan.describe import cost, subject
from deployer.plan.model import Change

VERBS = {
    "+": "create",
    "~": "update",
    "-": "delete",
    "±": "replace",
    "+-": "replace",
    "-/+": "replace",
    "↺": "undo",
    "=": "adopt",
}

#: The group of what belongs to a host and to no deployment.
SHARED = "shared by deployments"


@dataclass(frozen=True, slots=True)
class Entry:
    """A change with what is asked of it again and again. `group`: its deployment, or what stands for none; `haystack`: all
    that a word may be found in, in lower case.
    """

    key: str
    change: Change
    host: str
    group: str
    verb: str
    subject: str
    haystack: str

    @classmethod
    def of(cls, change: Change) -> "Entry":
        word, about = verb(change), subject(change)
        parts = (change.host, change.deployment or "", word, about, change.reason, cost(change), str(change.source or ""))
        return cls(change.id, change, change.host, change.deployment or SHARED, word, about, " ".join(parts).lower())


Question = Callable[[Entry], bool]


def questions(text: str, kind: str | None = None, only: Question | None = None) -> list[Question]:
    """What a change must answer with yes to be shown. `kind`: only changes of this verb; `only`: one more question."""
    words = text.lower().split()
    verbs = {VERBS[word] for word in words if word in VERBS}
    asked = [_question(word) for word in words if word not in VERBS and word != "!"]
    if kind is not None:
        verbs = verbs & {kind} if verbs else {kind}
    if verbs or kind is not None:
        asked.insert(0, lambda entry: entry.verb in verbs)
    return asked if only is None else [*asked, only]


def select(entries: list[Entry], asked: Sequence[Question]) -> list[Entry]:
    """Those that fit, in their order."""
    for question in asked:
        entries = [entry for entry in entries if question(entry)]
    return entries


def _question(word: str) -> Question:
    if word.startswith("!"):
        inner = _question(word[1:])
        return lambda entry: not inner(entry)
    if word in VERBS:
        return lambda entry: entry.verb == VERBS[word]
    if word.startswith("host:"):
        return lambda entry: word[5:] in entry.host.lower()
    if word.startswith("dep:"):
        return lambda entry: word[4:] in (entry.change.deployment or "").lower()
    if word == "downtime":
        return lambda entry: entry.change.impact.downtime_s is not None
    if word == "drift":
        return lambda entry: entry.change.drift
    return lambda entry: word in entry.haystack
