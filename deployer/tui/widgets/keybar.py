"""The keys that do something here, in one line at the bottom. One widget for all keys: a Footer makes a new one for each
key at every change of focus and never lets the old ones go.
"""

from typing import Any

from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static


class KeyBar(Static):
    """Shows the active bindings in their order; one that is disabled is dim. A click presses it."""

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._again)
        self._again(self.screen)

    def on_resize(self) -> None:
        self._again(self.screen)

    def _again(self, screen: Screen[Any]) -> None:
        shown: list[Content] = []
        seen: set[str] = set()
        for _, binding, enabled, _ in screen.active_bindings.values():
            if not binding.show or not binding.description or binding.action in seen:
                continue
            seen.add(binding.action)
            key = self.app.get_key_display(binding)
            press = f"app.simulate_key({binding.key!r})"
            mark = Content.styled(f" {key} ", "bold $footer-key-foreground" if enabled else "dim")
            mark = mark.stylize(f"@click={press}") if enabled else mark
            shown.append(Content.assemble(mark, (f"{binding.description} ", "" if enabled else "dim")))
        self.update(self._fitting(shown))

    def _fitting(self, shown: list[Content]) -> Content:
        """As many as there is room for; help says the others."""
        room, fitting = self.size.width or 80, []
        for one in shown:
            if one.cell_length > room:
                break
            fitting.append(one)
            room -= one.cell_length
        return Content("").join(fitting)
