"""Approving and rejecting in the plan place, and going from one undecided change to the next."""

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from deployer.tui.line import line
from deployer.tui.planfilter import Entry
from deployer.tui.plantree import Group
from deployer.tui.reviewing import Reviewing
from deployer.tui.screens.planview import PlanView

#: Actions that make no sense without a plan that has changes.
NEED_CHANGES = ("approve", "reject", "approve_group", "approve_all", "undo", "next", "verb", "undecided", "turn")


class PlanDeciding(PlanView):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "approve", "Approve", tooltip="or undecided again; on a group all below it", id="plan.approve"),
        Binding("x", "reject", "Reject", tooltip="and what needs it; again: not rejected", id="plan.reject"),
        Binding(
            "a",
            "approve_group",
            "Group",
            tooltip="approve this group, except what deletes and what needs that",
            id="plan.approve-group",
        ),
        Binding(
            "ctrl+a",
            "approve_all",
            "All",
            show=False,
            tooltip="approve all that is shown, except what deletes",
            id="plan.approve-all",
        ),
        Binding("u", "undo", "Take back", show=False, tooltip="the last decision", id="plan.undo"),
        Binding("right_square_bracket", "next(1)", "Next undecided", key_display="]", show=False, id="plan.next"),
        Binding("left_square_bracket", "next(-1)", "Previous undecided", key_display="[", show=False, id="plan.previous"),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in NEED_CHANGES and (self.reviewing is None or self.reviewing.review.plan.empty):
            return None
        return super().check_action(action, parameters)

    def decided(self) -> None:
        """What was decided is drawn; where only undecided ones are shown, it goes out of sight."""
        if self._only_undecided:
            self.rebuild()
        else:
            self.redraw()

    def _below(self) -> list[str] | None:
        """Changes of the group under the cursor, as far as they are shown; None where it stands on no group."""
        return [entry.key for entry in self.node.entries] if isinstance(self.node, Group) else None

    def _decide(self, one: Callable[[Reviewing, Entry], None], many: Callable[[Reviewing, list[str]], None]) -> None:
        if self.reviewing is None:
            return
        node, below = self.node, self._below()
        if isinstance(node, Entry):
            one(self.reviewing, node)
        elif below is not None:
            many(self.reviewing, below)
        else:
            self.reviewing.said = line("this line is no change: there is nothing to decide")
        self.decided()

    def action_approve(self) -> None:
        self._decide(lambda r, entry: r.toggle(entry.change), lambda r, below: r.toggle_all(below))

    def action_reject(self) -> None:
        self._decide(lambda r, entry: r.reject(entry.change), lambda r, below: r.reject_all(below))

    def action_approve_group(self) -> None:
        """Of the group that the cursor stands on or in, what deletes nothing."""
        below = self._below()
        if below is None and isinstance(self.node, Entry) and self.tree_of_plan is not None:
            above = self.tree_of_plan.above(self.node)[-1]
            below = next(([e.key for e in n.entries] for n in self.nodes if isinstance(n, Group) and n.key == above), [])
        self._approve_careful(below or [])

    def action_approve_all(self) -> None:
        """Of all that the filter shows, what deletes nothing."""
        self._approve_careful([entry.key for entry in self.shown_changes()])

    def _approve_careful(self, changes: list[str]) -> None:
        if self.reviewing is not None:
            self.reviewing.approve_careful(changes)
            self.decided()

    def action_undo(self) -> None:
        if self.reviewing is not None:
            self.reviewing.undo()
            self.decided()

    def action_next(self, way: int) -> None:
        """To the next change that is undecided, round the end, out of its folds."""
        if self.reviewing is None or self.tree_of_plan is None:
            return
        shown = self.shown_changes()
        start = self._place_of_cursor(shown, way)
        turned = shown[start:] + shown[:start] if way > 0 else [*reversed(shown[:start]), *reversed(shown[start:])]
        found = next((entry for entry in turned if self.reviewing.undecided(entry.key)), None)
        if found is None:
            self.reviewing.said = line("every change that is shown is decided")
        elif self.folded & set(self.tree_of_plan.above(found)):
            self.folded.difference_update(self.tree_of_plan.above(found))
            self.rebuild()
        if found is not None:
            self.rows.move_to_key(found.key)
        self.redraw()

    def _place_of_cursor(self, shown: list[Entry], way: int) -> int:
        """Where to begin in `shown`: behind the change under the cursor going down, before it going up; on a group, its
        first change.
        """
        node = self.node
        first = node if isinstance(node, Entry) else node.entries[0] if isinstance(node, Group) and node.entries else None
        place = next((n for n, entry in enumerate(shown) if first is not None and entry.key == first.key), 0)
        return place + 1 if isinstance(node, Entry) and way > 0 else place
