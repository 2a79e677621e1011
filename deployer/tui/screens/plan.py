"""Plan review: every change with its reason and its cost, approved or rejected one by one. Applies exactly what was approved."""

import gc
from typing import ClassVar

from textual.binding import Binding, BindingType

from deployer.app.operation import Operation
from deployer.app.planned import Planned
from deployer.errors import DeployerError, StalePlan
from deployer.plan.model import Plan
from deployer.plan.review import Review
from deployer.plan.words import count
from deployer.tui import plansummary
from deployer.tui.line import Line, Span, line
from deployer.tui.modals.approve import Approval, Approve
from deployer.tui.plantree import MANY, Group, PlanTree
from deployer.tui.reviewing import Reviewing
from deployer.tui.screens.planfiles import PlanFiles

NOTHING_APPROVED = "nothing is approved"


class PlanPlace(PlanFiles):
    NAME: ClassVar[str] = "plan"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("A", "apply", "Apply…", tooltip="exactly what is approved; it asks first", id="plan.apply"),
        Binding("f", "verb", "Kind", tooltip="only what creates, updates, replaces, deletes; all again", id="plan.kind"),
        Binding("t", "turn", "Turn", tooltip="by host, or by deployment", id="plan.turn"),
        Binding("r", "again", "Again", tooltip="ask the hosts and plan again", id="plan.again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._asking_since: float | None = None
        self._begun = False
        self._making = False  # the approved part, to be asked for
        self._ready = False
        self._why_not = ""

    def on_mount(self) -> None:
        super().on_mount()
        self._ready = True
        if self.main.session.planned is not None:
            self.take(self.main.session.planned)
        self.look()

    def take(self, planned: Planned) -> None:
        """Review this plan from now on. The very same plan keeps its decisions."""
        if not self._ready:
            return  # on_mount takes it
        same = self.planned is not None and self.planned.plan.plan_id == planned.plan.plan_id
        self.planned, self._begun = planned, False
        if not same:
            by = self.tree_of_plan.by if self.tree_of_plan else "host"
            self.reviewing, self.tree_of_plan = Reviewing(planned.plan), PlanTree(planned.plan, by)
            _settle_memory(planned.plan)
            self._verb, self._only_undecided, self._refold = None, False, True
        self._asking_since = None
        self.rebuild()
        if not same:
            self._begin_at_first_group()
        self.top()

    def _begin_at_first_group(self) -> None:
        """Unless something keeps the plan from being done: that is read first."""
        group = next((node.key for node in self.nodes if isinstance(node, Group)), None)
        if self.planned is not None and not self.planned.plan.refusals and group is not None:
            self.rows.move_to_key(group)

    def look(self) -> None:
        if not self.main.planning:
            self._asking_since = None
        elif self._asking_since is None:
            self._asking_since = self.main.clock()
        if self.reviewing is None:
            self.rows.say_empty(self._asking() or "no plan yet: r asks the hosts")
        self.summarize()
        if self.why_not() != self._why_not:
            self._why_not = self.why_not()
            self.refresh_bindings()

    def notes(self) -> list[Span]:
        return plansummary.age(self.planned, self.main.clock()) if self.planned else []

    def _asking(self) -> str:
        if self._asking_since is None:
            return ""
        hosts = count(len(self.main.session.fleet.spec.hosts), "host")
        return f"asking {hosts} {self.main.glyphs.fold} {self.main.clock() - self._asking_since:.0f} s"

    def summary(self) -> list[Line]:
        found = super().summary()
        asking = self._asking()
        if asking and self.reviewing is not None:
            found[2] = line((f"{asking}; above is the plan of before", "accent"))
        elif self.reviewing is not None and not found[2]:
            found[2] = line((self._next_step(), "dim"))
        return found

    def _next_step(self) -> str:
        why_not = self.why_not()
        if why_not == NOTHING_APPROVED:
            return "space approves one, a its group, ctrl+a all, but no deletes; then A applies"
        if self.planned is not None and self.planned.plan.empty and not why_not:
            return f"A notes it on the hosts: {', '.join(self.planned.holds)}"
        return f"A waits: {why_not}" if why_not else "A applies what is approved"

    # apply

    def why_not(self) -> str:
        """Why nothing can be applied now; empty: it can."""
        main = self.main
        if self.reviewing is None or self.planned is None:
            return "there is no plan"
        review = self.reviewing.review
        if main.session.read_only:
            return "this is a read-only view"
        if review.plan.refusals:
            return f"{count(len(review.plan.refusals), 'refusal')}; once settled, r plans again"
        if review.plan.empty and not self.planned.holds:
            return "there is nothing to do; r asks the hosts again"
        if main.planning:
            return "the hosts are asked"
        if main.session.operation is not None and not main.session.operation.over:
            return "an apply runs; 3 shows it"
        if self._making:
            return "a plan is made of what is approved"
        if self._begun:
            stale = main.session.operation is not None and _stale(main.session.operation)
            return f"this plan {'is stale: the hosts moved since' if stale else 'was begun'}; r plans again"
        return "" if review.approved or review.plan.empty else NOTHING_APPROVED

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "apply" and self.why_not():
            return None
        if action == "again" and self.main.planning:
            return None
        return super().check_action(action, parameters)

    def action_apply(self) -> None:
        """Makes the approved part, which is a plan of its own, and asks for it."""
        if self.reviewing is None or self.planned is None or self.why_not():
            return
        planned, review = self.planned, self.reviewing.review
        self._making = True
        self.reviewing.said = ()
        self.redraw()
        self.main.job(lambda: _part(planned, review), lambda part: self._ask(part, planned), self._not_made, name="part")

    def _not_made(self, error: DeployerError) -> None:
        self._making = False
        self.main.wrong(error)

    def _ask(self, part: Planned, whole: Planned) -> None:
        self._making = False
        if self.planned is not whole:
            return  # another plan came meanwhile

        def answered(approval: Approval | None) -> None:
            if approval is not None:
                self.main.begin_apply(part, why=approval.why)
                operation = self.main.session.operation
                self._begun = operation is not None and operation.plan is part.plan
                if self.reviewing is not None:
                    self.reviewing.said = ()  # what stands there now is why it cannot be applied again

        self.main.push_screen(Approve(part.plan, whole.plan, self.main.glyphs, part.holds), answered)

    def action_again(self) -> None:
        self.main.plan_again()


def _settle_memory(plan: Plan) -> None:
    """Python's collector looks through all that lives again and again: with a plan of ten thousand changes each look is a
    sixth of a second, in which no key is answered. The plan lives until the next one comes: it is left out until then.
    """
    gc.unfreeze()
    if len(plan.changes) > MANY:
        gc.collect()
        gc.freeze()


def _stale(operation: Operation) -> bool:
    refused = isinstance(operation.error, StalePlan)
    return refused or (operation.report is not None and operation.report.exit_code == StalePlan.exit_code)


def _part(planned: Planned, review: Review) -> Planned:
    """Exactly what was approved; the plan itself when that is all of it."""
    part = planned.only(lambda change: change.id in review.approved)
    return planned if part.plan is planned.plan else part
