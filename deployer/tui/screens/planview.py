"""What one sees of a plan under review: the tree, the details of what the cursor stands on, the lines below; folded,
filtered, turned. The base of the plan place.
"""

from collections.abc import Mapping
from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.timer import Timer
from textual.widgets import Static

from deployer.plan.review import Review
from deployer.tui import plansummary
from deployer.tui.line import Line, cut, line, paragraphs
from deployer.tui.modals.panel import Reading
from deployer.tui.plandetail import Detail
from deployer.tui.planfilter import Entry, questions, select
from deployer.tui.planrows import row
from deployer.tui.plantree import Group, Node, PlanTree
from deployer.tui.reviewing import Reviewing
from deployer.tui.screens.place import Place
from deployer.tui.widgets.rowlist import LazyRows, RowList

VERBS = ("create", "update", "replace", "delete", "undo")

#: The details follow the cursor after so many seconds.
DETAIL_S = 0.03


class PlanView(Place):
    """`reviewing` and `tree_of_plan` are None until there is a plan."""

    FILTERS: ClassVar[str | None] = "words, host:gpu- dep:chat + ~ - ± downtime drift !word"
    AUTO_FOCUS = "RowList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "U",
            "undecided",
            "Only undecided",
            show=False,
            tooltip="what is decided goes out of sight; again: all",
            id="plan.undecided",
        ),
        Binding("h,left", "fold(True)", "Fold", show=False, id="plan.fold"),
        Binding("l,right", "fold(False)", "Unfold", show=False, id="plan.unfold"),
        Binding("E", "fold_all(False)", "Unfold all", show=False, id="plan.unfold-all"),
        Binding("C", "fold_all(True)", "Fold all", show=False, id="plan.fold-all"),
        Binding("d", "whole", "Details on the whole screen", show=False, id="plan.whole"),
        Binding("z", "unfold", "Also what did not change", show=False, id="plan.unchanged"),
        Binding("m", "pane", "With or without details", show=False, id="plan.details"),
        Binding("J", "scroll_detail(1)", "Details down", show=False, id="plan.details-down"),
        Binding("K", "scroll_detail(-1)", "Details up", show=False, id="plan.details-up"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.reviewing: Reviewing | None = None
        self.tree_of_plan: PlanTree | None = None
        self._typed = ""
        self._verb: str | None = None
        self._only_undecided = False
        self._unfolded = False
        self._under_filter: set[str] = set()  # groups folded while a filter is on
        self._refold = False  # the filter has changed: its folds begin anew
        self.nodes: list[Node] = []
        self._entries: list[tuple[str, object]] = []
        self._counted: tuple[Review, Line, Line] | None = None  # two lines of the summary, and of which review they are
        self._detailed: list[Line] | None = None
        self._detail_timer: Timer | None = None
        self._drawn: tuple[Line | int, ...] = ()

    def body(self) -> ComposeResult:
        yield RowList(id="changes", empty="no plan yet: r asks the hosts")
        with VerticalScroll(id="detail", can_focus=False):
            yield Static(id="detail-text")
        yield Static(id="summary")

    @property
    def rows(self) -> RowList:
        return self.query_one("#changes", RowList)

    @property
    def node(self) -> Node | None:
        """What the cursor stands on."""
        place = self.rows.cursor
        return self.nodes[place] if 0 <= place < len(self.nodes) else None

    # drawing

    @property
    def filtering(self) -> bool:
        return bool(self._typed or self._verb)

    @property
    def folded(self) -> set[str]:
        """Groups that are folded now; a filter has folds of its own, so that what fits is seen."""
        assert self.tree_of_plan is not None
        return self._under_filter if self.filtering else self.tree_of_plan.folded

    def shown_changes(self) -> list[Entry]:
        """What fits the filter, folded or not, in the order of the tree."""
        if self.tree_of_plan is None:
            return []
        return select(
            self.tree_of_plan.entries, questions(self._typed, self._verb, self._pending if self._only_undecided else None)
        )

    def _pending(self, entry: Entry) -> bool:
        assert self.reviewing is not None
        return self.reviewing.undecided(entry.key)

    def rebuild(self) -> None:
        """The rows, after the filter, the folds or the grouping changed."""
        if self.tree_of_plan is None or self.reviewing is None:
            return
        shown = self.shown_changes()
        if self._refold:
            self._refold, self._under_filter = False, self.tree_of_plan.folds(shown)
        self.nodes = self.tree_of_plan.nodes(shown, self.folded, changes_only=self.filtering)
        self._entries = [(node.key, node) for node in self.nodes]
        if not self.nodes:
            narrowed = self.filtering or self._only_undecided
            self.rows.say_empty(plansummary.empty(self.reviewing.review.plan, narrowed))
        self.redraw()

    def redraw(self) -> None:
        """After a decision: the same rows, drawn anew."""
        if self.reviewing is None:
            return
        review, glyphs, memory = self.reviewing.review, self.main.glyphs, self.gpu_memory()
        self.rows.show(LazyRows(self._entries, lambda entry: row(cast(Node, entry[1]), review, glyphs, memory)))
        self.summarize()
        self._show_detail()
        self.refresh_bindings()

    def gpu_memory(self) -> Mapping[str, int]:
        """Bytes by UUID, of the GPUs that were heard of."""
        return {g.sample.uuid: g.sample.memory_total for host in self.main.now.hosts.values() for g in host.gpus}

    def summarize(self) -> None:
        lines = tuple(self.summary())
        if (*lines, self.size.width) != self._drawn:
            self._drawn = (*lines, self.size.width)
            width = max(1, self.size.width - 2)
            self.query_one("#summary", Static).update(paragraphs(cut(one, width) for one in lines), layout=False)

    def summary(self) -> list[Line]:
        """Three lines: all of it, the approved part, what just happened."""
        if self.reviewing is None:
            return [(), (), ()]
        review, glyphs = self.reviewing.review, self.main.glyphs
        if self._counted is None or self._counted[0] is not review:
            self._counted = (review, plansummary.whole(review.plan, glyphs), plansummary.approved(review, glyphs))
        said = plansummary.filters(self._typed, self._verb, self._only_undecided)
        shown = line((f"  only {said} is shown", "accent")) if said else ()
        _, whole, approved = self._counted
        return [(*whole, *shown), approved, self.reviewing.said]

    def detail_lines(self, unfolded: bool) -> list[Line]:
        if self.reviewing is None:
            return []
        return Detail(self.reviewing.review, self.main.glyphs, self.gpu_memory(), unfolded).of(self.node)

    def _show_detail(self) -> None:
        """Soon, and once for all that happens until then: laying out a long text must not hold up the keys."""
        if self._detail_timer is None:
            self._detail_timer = self.set_timer(DETAIL_S, self._draw_detail)

    def _draw_detail(self) -> None:
        self._detail_timer = None
        lines = self.detail_lines(self._unfolded)
        if lines != self._detailed:
            self._detailed = lines
            self.query_one("#detail-text", Static).update(paragraphs(lines))

    def on_resize(self) -> None:
        self.summarize()

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        self._show_detail()
        self.query_one("#detail", VerticalScroll).scroll_home(animate=False)

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        if isinstance(self.node, Group):
            self.action_fold(self.node.open)
        else:
            self.action_whole()

    # what is shown

    def filtered(self, text: str) -> None:
        if text.strip() != self._typed:
            self._typed = text.strip()
            self._refold = True
            self.rebuild()

    def action_verb(self) -> None:
        """The next of the verbs that this plan has, then all again."""
        if self.tree_of_plan is None:
            return
        there = {entry.verb for entry in self.tree_of_plan.entries}
        order = [None, *(verb for verb in VERBS if verb in there)]
        self._verb = order[(order.index(self._verb) + 1) % len(order)] if self._verb in order else None
        self._refold = True
        self.rebuild()

    def action_undecided(self) -> None:
        self._only_undecided = not self._only_undecided
        self.rebuild()

    def action_turn(self) -> None:
        if self.tree_of_plan is not None:
            before = self.node
            self.tree_of_plan.by = "deployment" if self.tree_of_plan.by == "host" else "host"
            if isinstance(before, Entry):
                self.folded.difference_update(self.tree_of_plan.above(before))
            self.rebuild()

    def action_fold(self, shut: bool) -> None:
        """The group under the cursor; from a change, the group it stands below."""
        node = self.node
        if self.tree_of_plan is None or node is None:
            return
        if isinstance(node, Entry) and shut:
            above = self.tree_of_plan.above(node)[-1]
            self.folded.add(above)
            self.rows.move_to_key(above)
        elif isinstance(node, Group) and shut and not node.open and node.depth:
            self.rows.move_to_key(node.key.rpartition("/")[0])
        elif isinstance(node, Group):
            (self.folded.add if shut else self.folded.discard)(node.key)
        self.rebuild()

    def action_fold_all(self, shut: bool) -> None:
        if self.tree_of_plan is not None:
            self.folded.clear()
            if shut:
                self.folded.update(self.tree_of_plan.groups())
            self.rebuild()

    def action_unfold(self) -> None:
        self._unfolded = not self._unfolded
        self._show_detail()

    def action_whole(self) -> None:
        lines = self.detail_lines(True)
        if lines:
            panel = Reading("Details", paragraphs(lines))
            panel.add_class("-whole")
            self.main.push_screen(panel)

    def action_pane(self) -> None:
        self.toggle_class("-alone")

    def action_scroll_detail(self, way: int) -> None:
        pane = self.query_one("#detail", VerticalScroll)
        pane.scroll_relative(y=way * max(1, pane.size.height // 2), animate=False)
