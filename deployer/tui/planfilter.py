"""What is typed after `/` in the plan review, as a question to a change. Pure; used by the plan place alone.

words            all of them, anywhere in the change: host, deployment, subject, reason, file
host:gpu- dep:chat   part of the host's or the deployment's name
+ ~ - ± (or +-)  what happens; several mean one of them
downtime  drift  those that interrupt a service; those that put back what somebody changed
!word            not
"""

from collections.abc import Callable
from dataclasses import dataclass

from deployer.plan.counts import verb
from deployer.plan.describe import cost, subject
from deployer.plan.model import Change

VERBS = {"+": "create", "~": "update", "-": "delete", "±": "replace", "+-": "replace", "-/+": "replace", "↺": "undo"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A change with what is asked of it again and again. `haystack`: all that a word may be found in, in lower case."""

    key: str
    change: Change
    verb: str
    subject: str
    haystack: str

    @classmethod
    def of(cls, change: Change) -> "Entry":
        word, about = verb(change), subject(change)
        parts = (change.host, change.deployment or "", word, about, change.reason, cost(change), str(change.source or ""))
        return cls(change.id, change, word, about, " ".join(parts).lower())


Fits = Callable[[Entry], bool]


def anything(entry: Entry) -> bool:
    return True


def fits(text: str, *, verb: str | None = None, only: Fits | None = None) -> Fits:
    """Whether a change is shown. `verb`: only what happens so; `only`: one more condition."""
    words = text.lower().split()
    verbs = {VERBS[word] for word in words if word in VERBS}
    asked = [_question(word) for word in words if word not in VERBS and word != "!"]
    if verb is not None:
        verbs = verbs & {verb} if verbs else {verb}
    if only is not None:
        asked.append(only)
    if verbs or verb is not None:
        asked.insert(0, lambda entry: entry.verb in verbs)
    if not asked:
        return anything
    if len(asked) == 1:
        return asked[0]
    return lambda entry: all(question(entry) for question in asked)


def _question(word: str) -> Fits:
    if word.startswith("!"):
        inner = _question(word[1:])
        return lambda entry: not inner(entry)
    if word in VERBS:
        return lambda entry: entry.verb == VERBS[word]
    if word.startswith("host:"):
        return lambda entry: word[5:] in entry.change.host.lower()
    if word.startswith("dep:"):
        return lambda entry: word[4:] in (entry.change.deployment or "").lower()
    if word == "downtime":
        return lambda entry: entry.change.impact.downtime_s is not None
    if word == "drift":
        return lambda entry: entry.change.drift
    return lambda entry: word in entry.haystack
