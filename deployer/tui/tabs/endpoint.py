"""Endpoint: where the deployment answers, who may ask, and requests to copy."""

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from deployer.app.values import Endpoint as Where
from deployer.tui.line import Line, clean, line, paragraphs
from deployer.tui.tabs.tab import Tab, facts, folded


class Endpoint(Tab):
    KEY = "a"
    NAME = "Endpoint"
    FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "copy('address')", "Copy address", id="endpoint.copy-address"),
        Binding("c", "copy('curl')", "Copy curl", id="endpoint.copy-curl"),
        Binding("p", "copy('python')", "Copy Python", id="endpoint.copy-python"),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static()

    def opened(self) -> None:
        self.draw()

    @property
    def _where(self) -> Where | None:
        return self.dossier.endpoint if self.dossier is not None else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action == "copy" and self._where is None else True

    def action_copy(self, what: str) -> None:
        where = self._where
        if where is not None:
            text = {"address": where.url, "curl": where.curl, "python": where.python}[what]
            self.main.copy(text, {"address": "the address", "curl": "the curl command", "python": "the Python lines"}[what])

    def draw(self) -> None:
        self.query_one(Static).update(paragraphs(self._lines()))

    def _lines(self) -> Iterator[Line]:
        where, dossier = self._where, self.dossier
        if dossier is None:
            yield line(("asking the hosts …", "dim"))
            return
        if where is None:
            yield line("it has no address yet: no replica of it has a place")
            yield facts("next", (self.main.key_of("plan"), "bold"), " plans it; or name a gateway host in deployer.yaml")
            yield from (line(("not heard   ", "dim"), f"{one.name}: {clean(one.message)}") for one in dossier.silent)
            return
        yield facts("address", (where.url, "bold"))
        yield facts("gateway", where.gateway)
        yield from self._reach(where)
        yield from self._names(where)
        for title, key, text in (("curl", "c", where.curl), ("Python", "p", where.python)):
            yield ()
            yield line((title, "bold"), (f"   {key} copies it", "dim"))
            yield from (line(f"  {clean(one)}") for one in text.splitlines())

    def _reach(self, where: Where) -> Iterator[Line]:
        tunnel = self.dossier.tunnel if self.dossier else None
        if not where.loopback:
            yield facts("answers", "from everywhere that reaches ", where.gateway)
            return
        said = f"on {where.gateway} itself alone; endpoint.keys or endpoint.open, and gateway.tls, open it"
        for number, one in enumerate(folded(said, max(40, self.size.width - 14))):
            yield facts("" if number else "answers", (one[1][0], "warn"))
        if tunnel:
            yield facts("from here", clean(tunnel))

    def _names(self, where: Where) -> Iterator[Line]:
        spec = self.dossier.spec if self.dossier else None
        keys = [str(key.name) for key in spec.endpoint.keys] if spec is not None else []
        yield facts("keys", clean(f"one is needed: {', '.join(keys)}") if where.keys else "none needed")
        names = [where.model, *(spec.endpoint.model_names if spec is not None else ())]
        yield facts("models", clean(", ".join(dict.fromkeys(names))))
