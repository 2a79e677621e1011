"""The keys that do something here, in one line at the bottom. One widget for all keys: a Footer makes a new one for each
key at every change of focus and never lets the old ones go.
"""

from typing import Any

from textual.binding import Binding
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Static

from deployer.tui.sturdy import Sturdy

#: Never left out: by the names of their bindings.
ALWAYS = ("help", "quit", "close")


class KeyBar(Sturdy, Static):
    """Shows the active bindings in their order; one that is disabled is dim. A click presses it."""

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._again)
        self._again(self.screen)

    def on_resize(self) -> None:
        self._again(self.screen)

    def _again(self, screen: Screen[Any]) -> None:
        shown: list[tuple[int, Content]] = []
        seen: set[str] = set()
        for node, binding, enabled, _ in screen.active_bindings.values():
            if not binding.show or not binding.description or binding.action in seen:
                continue
            seen.add(binding.action)
            key = self.app.get_key_display(binding)
            mark = Content.styled(f" {key} ", "bold $footer-key-foreground" if enabled else "dim")
            mark = mark.stylize(f"@click=app.simulate_key({binding.key!r})") if enabled else mark
            one = Content.assemble(mark, (f"{binding.description} ", "" if enabled else "dim"))
            shown.append((self._weight(node, binding), one))
        self.update(Content("").join(self._fitting(shown)))

    def _weight(self, node: DOMNode, binding: Binding) -> int:
        """The smaller the sooner it has its room: the way out and to help, what this place does, what is the same everywhere."""
        if binding.id in ALWAYS:
            return 0
        return 2 if node is self.app else 1

    def _fitting(self, shown: list[tuple[int, Content]]) -> list[Content]:
        """As many as there is room for, in their order; help says the others."""
        room, fitting = self.size.width or 80, set[int]()
        for place in sorted(range(len(shown)), key=lambda place: shown[place][0]):
            width = shown[place][1].cell_length
            if width <= room:
                fitting.add(place)
                room -= width
        return [one for place, (_, one) in enumerate(shown) if place in fitting]
