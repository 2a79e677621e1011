"""Every step of an apply with its state: those that wait are known from the plan, the others from events. Part of the board."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from deployer.agent.wire import STAGES, stage_in, stage_rank
from deployer.app import phases
from deployer.app.phases import Phase
from deployer.execute.events import Event
from deployer.plan import steps
from deployer.plan.describe import subject
from deployer.plan.model import Change, Plan

#: How much of what a step said is kept.
SAID = 200
#: Steps that are looked through for the next ones that wait.
AHEAD = 4000

#: "left": the host does it, or not, without us.
STATES = ("waiting", "running", "done", "failed", "undone", "skipped", "left")


def in_words(transaction: str) -> str:
    """ "model x" for "model:x", "gateway" for "gateway:gateway", "chat, wave 2" for "chat~2"."""
    kind, _, name = transaction.partition(":")
    if name:
        return f"{kind} {name}" if name != kind else kind
    deployment, tilde, wave = kind.partition("~")
    return f"{deployment}, wave {wave}" if tilde else kind


def _label(label: str, change: Change) -> str:
    """A step that is called as the resource is, is called as the plan calls it: "model org/name 0e9e39f"."""
    return subject(change) if change.after is not None and label == change.after.name else label


@dataclass(slots=True)
class StepRow:
    """`state` is one of STATES. `began` and `ended` are seconds on the host's clock. `data` is the last progress, after a
    failure {"cause", "hint", "log"}. `unit`: whose journal tells of it. `said`: (seconds, text), oldest first; `heard` counts
    them all, also those that are not kept any more.
    """

    host: str
    step: str
    transaction: str
    label: str
    change: str | None = None
    stage: str | None = None
    needs: tuple[str, ...] = ()
    unit: str | None = None
    wave: int = 0  # 0: before all waves
    part: str = ""  # one of phases.PARTS, "" when no plan here says it
    brought: bool = False  # its bytes come from here: its host's progress is its own
    expected_s: float | None = None
    state: str = "waiting"
    message: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    began: float | None = None
    ended: float | None = None
    said: list[tuple[float, str]] = field(default_factory=list)  # a deque is 600 bytes when empty, and most steps say little
    heard: int = 0

    def say(self, at: float, text: str) -> None:
        self.said.append((at, text))
        del self.said[:-SAID]
        self.heard += 1

    @property
    def key(self) -> str:
        return f"{self.host}/{self.step}"

    @property
    def belongs_to(self) -> str:
        """Its transaction in words."""
        return in_words(self.transaction)

    @property
    def phase(self) -> str:
        """What a running step does now, in words."""
        return self.message or str(self.data.get("phase") or "")

    def seconds(self, now: float) -> float | None:
        """How long it took, or takes since it began, `now` being the host's clock; None when it was never begun."""
        if self.began is None:
            return None
        return max(0.0, (now if self.ended is None else self.ended) - self.began)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is left to begin of one transaction: `first` is its next step, `steps` how many there are."""

    first: StepRow
    steps: int


class StepRows:
    """`times`: host → label → seconds that a like step took before."""

    def __init__(self, plan: Plan | None = None, times: Mapping[str, Mapping[str, float]] | None = None) -> None:
        self.planned = plan is not None
        self._times = times or {}
        self._rows: dict[str, StepRow] = {}
        self._by_host: dict[str, list[StepRow]] = {}
        self._by_state: dict[str, dict[str, StepRow]] = {state: {} for state in STATES}
        self._open: Counter[tuple[str, str, str | None]] = Counter()  # steps of a transaction's stage that are not ended
        self._phases: dict[tuple[int, str], Counter[str]] = {}
        if plan is not None:
            self._expect(plan)

    def _expect(self, plan: Plan) -> None:
        rows, changes = [], {change.id: change for change in plan.changes}
        ends: set[int] = set()  # waves at whose end something old goes
        for host in dict.fromkeys(c.host for c in plan.changes if plan.hosts[c.host].reachable):
            for transaction in steps.transactions(plan, host):
                needs = tuple(transaction.get("needs", ()))
                for step in transaction["steps"]:
                    unit = step["args"].get("unit") if step["kind"] in ("unit.start", "unit.ready") else None
                    label = _label(step["label"], changes[step["change"]])
                    row = StepRow(host, step["id"], transaction["id"], label, step["change"], step["stage"], needs, unit)
                    row.wave, row.part = phases.place(step["stage"], step["kind"])
                    if row.part == "finish" and step["kind"] in phases.ENDING:
                        ends.add(row.wave)
                    row.brought = step["kind"] == "blob.receive"
                    row.expected_s = self._times.get(host, {}).get(step["label"])
                    rows.append(row)
        for row in sorted(rows, key=lambda one: stage_rank(one.stage or STAGES[0])):
            if row.part == "finish" and row.wave in ends:
                row.part = "let go"
            self._add(row)

    def take(self, event: Event, at: float) -> None:
        """A "step" event that was said at `at`, on the host's clock."""
        row = self._rows.get(f"{event.host}/{event.step}") or self._unknown(event)
        if event.state == "progress":
            self._progress(row, event, at)
            return
        row.message = event.message or ""
        row.say(at, f"{event.state}{': ' if event.message else ''}{row.message}")
        if event.state == "start":
            row.began, row.ended, row.data = at, None, {}
            self._put(row, "running")
        elif event.state == "undone" and row.state == "failed":
            row.say(at, "what it did is undone")
        else:
            if event.state == "failed" or event.data:
                row.data = dict(event.data)
            row.ended = row.ended or at
            self._put(row, "failed" if event.state == "undo-failed" else str(event.state))

    def _progress(self, row: StepRow, event: Event, at: float) -> None:
        before = row.phase
        if row.state == "running":
            row.data, row.message = dict(event.data), event.message or ""
        said = event.message or str(event.data.get("phase") or "")
        if said and (row.state != "running" or row.phase != before):
            row.say(at, said)

    def _unknown(self, event: Event) -> StepRow:
        """A step that no plan here names: an apply that was begun elsewhere."""
        host, step = str(event.host), str(event.step)
        row = StepRow(host, step, event.transaction or step, event.label or step, event.change)
        row.expected_s = self._times.get(host, {}).get(row.label)
        self._add(row)
        return row

    def again(self, host: str) -> None:
        """Its run begins, maybe for the second time with a smaller plan."""
        for row in self._by_host.get(host, ()):
            if row.state == "skipped" and row.began is None:
                row.message = ""
                self._put(row, "waiting")

    def over(self, host: str, why: str, *, waiting: str = "skipped", running: str = "undone") -> None:
        """No more comes from this host: the states of what waits and of what runs there."""
        after = {"waiting": waiting, "running": running}
        for row in self._by_host.get(host, ()):
            if row.state in after:
                row.message = why
                self._put(row, after[row.state])

    def _add(self, row: StepRow) -> None:
        self._rows[row.key] = row
        self._by_host.setdefault(row.host, []).append(row)
        self._by_state[row.state][row.key] = row
        self._open[row.host, row.transaction, row.stage] += 1
        if row.part:
            self._phases.setdefault((row.wave, row.part), Counter())[row.state] += 1

    def _put(self, row: StepRow, state: str) -> None:
        if state not in self._by_state or state == row.state:
            return
        going = ("waiting", "running")
        self._open[row.host, row.transaction, row.stage] += (state in going) - (row.state in going)
        del self._by_state[row.state][row.key]
        if row.part:
            self._phases[row.wave, row.part].update({row.state: -1, state: 1})
        row.state = state
        self._by_state[state][row.key] = row

    # what is asked of it

    def of(self, state: str) -> list[StepRow]:
        """In the order in which they came to be so."""
        return list(self._by_state[state].values())

    def count(self, state: str) -> int:
        return len(self._by_state[state])

    def named(self, key: str) -> StepRow | None:
        return self._rows.get(key)

    def transaction(self, host: str, name: str) -> list[StepRow]:
        """Its steps, in the order in which they are done."""
        return [row for row in self._by_host.get(host, ()) if row.transaction == name]

    def phases(self) -> tuple[Phase, ...]:
        """In the order in which they are gone through."""
        return phases.in_order(self._phases)

    @property
    def total(self) -> int:
        return len(self._rows)

    def waiting(self, most: int) -> tuple[list[Waiting], int]:
        """The next transactions that have something to begin, and how many steps wait besides theirs."""
        firsts: dict[tuple[str, str], StepRow] = {}
        numbers: Counter[tuple[str, str]] = Counter()
        for row in islice(self._by_state["waiting"].values(), AHEAD):
            key = (row.host, row.transaction)
            if key not in firsts and len(firsts) == most:
                continue
            firsts.setdefault(key, row)
            numbers[key] += 1
        found = [Waiting(row, numbers[key]) for key, row in firsts.items()]
        return found, self.count("waiting") - sum(numbers.values())

    def lacking(self, row: StepRow) -> str | None:
        """The first transaction on its host that this step builds on and that is not so far yet."""
        last = stage_rank(row.stage or STAGES[-1])
        stages = [stage for stage in (stage_in(n, s) for n in range(1, last[0] + 1) for s in STAGES) if stage_rank(stage) <= last]
        return next((need for need in row.needs if any(self._open.get((row.host, need, one), 0) > 0 for one in stages)), None)
