"""`?`: what the keys do in this place, from the bindings themselves."""

from typing import Any

from textual.screen import Screen

from deployer.tui.line import Line, line, paragraphs
from deployer.tui.modals.panel import Reading


def help_for(screen: Screen[Any], title: str) -> Reading:
    lines: list[Line] = []
    seen: set[tuple[str, str]] = set()
    for _, binding, enabled, tooltip in screen.active_bindings.values():
        if not binding.description or binding.key.startswith("ctrl+q"):
            continue
        mark = (binding.action, binding.description)
        if mark in seen:
            continue
        seen.add(mark)
        keys = screen.app.get_key_display(binding)
        why = "" if enabled else "  (not now)"
        lines.append(
            line((f"{keys:>10}  ", "bold"), binding.description, (f"  {tooltip}" if tooltip else "", "dim"), (why, "dim"))
        )
    lines += [(), line((f"{'shift':>10}  ", "bold"), "drag selects text in terminals whose mouse we hold; ctrl+c copies it")]
    return Reading(f"Keys: {title}", paragraphs(lines))
