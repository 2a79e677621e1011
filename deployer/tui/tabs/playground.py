"""Playground: a chat with the endpoint, or a text completed by it, streamed as it is made."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Static

from deployer.app.streaming import KeyRefused
from deployer.app.values import Endpoint
from deployer.errors import DeployerError
from deployer.tui.line import Line, clean, content, line, paragraphs
from deployer.tui.modals.asking import Asking
from deployer.tui.tabs.tab import Tab
from deployer.tui.talking import Talking

#: How often the answer is drawn while it comes. Seconds.
DRAW_S = 0.1


class Playground(Tab):
    """The key is kept in memory as long as the place is open, and shown nowhere."""

    KEY = "t"
    NAME = "Playground"
    FOCUS = "#say"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "mode", "Chat or completion", id="playground.mode"),
        Binding("ctrl+n", "anew", "New", id="playground.anew"),
        Binding("f2", "key", "Key…", id="playground.key"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._chat = True
        self._key: str | None = None
        self._said: list[dict[str, str]] = []  # the conversation so far
        self._talking: Talking | None = None
        self._drawn = ""
        self._measured = ""

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(id="talk")
        yield Static(classes="note", id="measured")
        with Horizontal(id="settings"):
            yield Static("temperature ")
            yield Input(id="temperature", placeholder="own", type="number", compact=True)
            yield Static("  at most ")
            yield Input("256", id="max_tokens", placeholder="own", type="integer", compact=True)
            yield Static(" tokens")
        yield Input(id="say", placeholder="say something; Enter sends it", compact=True)

    def on_mount(self) -> None:
        self.set_interval(DRAW_S, self._draw_answer)

    def opened(self) -> None:
        self.draw()

    def closed(self) -> None:
        if self._talking is not None:
            self._talking.stop()

    def draw(self) -> None:
        self.query_one("#talk", Static).update(paragraphs(self._lines()))
        self.query_one("#measured", Static).update(content(line((self._measured, "dim"))))
        self.query_one("#say", Input).placeholder = "say something; Enter sends it" if self._chat else "text to go on from"
        self.query_one(VerticalScroll).scroll_end(animate=False)

    def _lines(self) -> list[Line]:
        found: list[Line] = [line((one, "dim")) for one in self._hints()]
        answer = [{"role": "assistant", "content": self._talking.text}] if self._talking is not None else []
        for one in (*self._said, *answer):
            mine = one["role"] == "user"
            found.append(line(("you" if mine else self.place.deployment, "bold accent" if mine else "bold good")))
            found += [line(f"  {clean(text)}") for text in one["content"].split("\n")]
            found.append(())
        if self._talking is not None and not self._talking.text:
            found[-2:] = [line(("  … waiting for the first token; Esc stops it", "dim"))]
        return found

    def _hints(self) -> list[str]:
        where, dossier = self._where, self.dossier
        if dossier is None:
            return ["asking the hosts …"]
        if where is None:
            return [f"it has no address yet: {self.main.key_of('plan')} plans it"]
        if not where.chats:
            return [f"it does not chat: it answers {where.asked}; in a shell:", *where.curl.splitlines(), ""]
        hints = ["a chat" if self._chat else "a completion: the text goes to the model as it is", f"with {where.url}"]
        found = [" ".join(hints), *(["a key is needed; it is asked for before the first message"] if where.keys else [])]
        if where.loopback and dossier.tunnel:
            found += [
                f"it answers on {where.gateway} itself alone; to ask from here, in another terminal:",
                f"  {dossier.tunnel}",
            ]
        return [*found, ""]

    @property
    def _where(self) -> Endpoint | None:
        return self.dossier.endpoint if self.dossier is not None else None

    # asking

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id != "say":
            self.focus_here()
        elif event.value.strip() and self._talking is None:
            self._ask(event.value)

    def _ask(self, text: str) -> None:
        where = self._where
        if where is None or not where.chats:
            self.main.notify(" ".join(self._hints()), severity="warning", markup=False)
        elif where.keys and self._key is None:
            self._ask_key(lambda: self._ask(text))
        else:
            self.query_one("#say", Input).value = ""
            self._send(text, where)

    def _send(self, text: str, where: Endpoint) -> None:
        if not self._chat:
            self._said.clear()
        self._said.append({"role": "user", "content": text})
        answer = self.main.session.fleet.deployment(self.place.deployment).stream(
            self._said, key=self._key, chat=self._chat, endpoint=where, **self._parameters()
        )
        talking = self._talking = Talking(answer)
        self._measured = ""
        self.draw()
        self.main.job(talking.read, lambda _: self._ended(talking), lambda e: self._ended(talking, e), name="playground")

    def _parameters(self) -> dict[str, float | int]:
        """What is left empty is the model's own."""
        found: dict[str, float | int] = {}
        temperature, tokens = self.query_one("#temperature", Input), self.query_one("#max_tokens", Input)
        if temperature.value and temperature.is_valid:
            found["temperature"] = float(temperature.value)
        if tokens.value and tokens.is_valid:
            found["max_tokens"] = int(tokens.value)
        return found

    def _draw_answer(self) -> None:
        talking = self._talking
        if talking is not None and talking.text != self._drawn:
            self._drawn = talking.text
            self._measured = talking.measured()
            self.draw()

    def _ended(self, talking: Talking, error: DeployerError | None = None) -> None:
        if self._talking is not talking or not self.is_mounted:
            return
        self._talking, self._drawn = None, ""
        self._measured = talking.measured()
        if talking.text:
            self._said.append({"role": "assistant", "content": talking.text})
        else:
            self.query_one("#say", Input).value = self._said.pop()["content"]  # to be sent again
        if isinstance(error, KeyRefused):
            self._key = None
        self.draw()
        if error is not None:
            self.main.wrong(error)

    # keys

    def back(self) -> bool:
        """Esc stops the answer; then it leaves the input line, so that the other keys are keys again."""
        if self._talking is not None:
            self._talking.stop()
            return True
        if isinstance(self.screen.focused, Input):
            self.query_one(VerticalScroll).focus()
            return True
        return False

    def action_mode(self) -> None:
        if self._talking is None:
            self._chat = not self._chat
            self.action_anew()

    def action_anew(self) -> None:
        if self._talking is None:
            self._said, self._measured = [], ""
            self.draw()
            self.focus_here()

    def action_key(self) -> None:
        self._ask_key(lambda: None)

    def _ask_key(self, then: Callable[[], None]) -> None:
        def take(key: str | None) -> None:
            if key:
                self._key = key
                then()

        self.main.push_screen(Asking("The key of this endpoint", hidden=True, placeholder="kept in memory only"), take)
