"""Endpoint: where the deployment answers, who may ask, and requests to copy. Keys are made and revoked here, in the YAML."""

import contextlib
from collections.abc import Iterator
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from deployer.app import apikeys
from deployer.app.apikeys import NewKey
from deployer.app.dossier import KeyState
from deployer.app.session import Session
from deployer.app.values import Endpoint as Where
from deployer.errors import DeployerError
from deployer.tui.line import Line, clean, line, paragraphs
from deployer.tui.modals.asking import Asking
from deployer.tui.modals.choosing import Choosing
from deployer.tui.modals.newkey import NewKeyPanel
from deployer.tui.tabs.tab import Tab, facts, folded
from deployer.tui.widgets.rows import Row

T = TypeVar("T")


class Endpoint(Tab):
    KEY = "a"
    NAME = "Endpoint"
    FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "copy('address')", "Copy address", id="endpoint.copy-address"),
        Binding("c", "copy('curl')", "Copy curl", id="endpoint.copy-curl"),
        Binding("p", "copy('python')", "Copy Python", id="endpoint.copy-python"),
        Binding("n", "new_key", "New key…", tooltip="written into the YAML, shown once", id="endpoint.new-key"),
        Binding("v", "revoke_key", "Revoke key…", tooltip="out of the YAML; an apply makes it so", id="endpoint.revoke-key"),
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
        writable = not self.main.session.read_only and self.dossier is not None and self.dossier.spec is not None
        possible = {"copy": self._where is not None, "new_key": writable, "revoke_key": writable and bool(self._named)}
        return True if possible.get(action, True) else None

    @property
    def _named(self) -> list[KeyState]:
        """The keys that the files name."""
        return [one for one in self.dossier.keys if one.wanted] if self.dossier is not None else []

    def action_new_key(self) -> None:
        """Asks for whom it is, writes it, and shows it once."""
        session, name = self.main.session, self.place.deployment
        text = paragraphs([line("For whom is it? A name as team-a; logs and figures have it.")])

        def asked(typed: str | None) -> None:
            if typed is not None:
                make = lambda: _read_again(session, apikeys.create(session.reload(), name, typed.strip()))  # noqa: E731
                self.main.job(make, self._made, name="key")

        self.main.push_screen(Asking(f"A new key for {name}", text, placeholder="team-a"), asked)

    def _made(self, made: NewKey) -> None:
        self.place.action_ask()
        self.main.push_screen(NewKeyPanel(made, self.main.key_of("plan")))

    def action_revoke_key(self) -> None:
        """Which one, then the word that confirms: Enter in a list takes nothing from anybody."""
        rows = [Row(one.name, line((one.name, "bold"), (f"  {known_by(one)}", "dim"))) for one in self._named]
        self.main.push_screen(Choosing("Revoke which key?", rows), self._confirm_revoke)

    def _confirm_revoke(self, key: str | None) -> None:
        if key is None:
            return
        session, name = self.main.session, self.place.deployment
        text = paragraphs(
            [
                line("It leaves the YAML now; who has it is refused once that is applied."),
                line("Type its name to revoke it: ", (key, "bold")),
            ]
        )

        def asked(typed: str | None) -> None:
            if typed is not None and typed.strip() == key:
                revoke = lambda: _read_again(session, apikeys.revoke(session.reload(), name, key))  # noqa: E731
                self.main.job(revoke, lambda _: self._revoked(key), name="key")
            elif typed is not None:
                self.main.notify(f"not revoked: that is not {key}", markup=False)

        self.main.push_screen(Asking(f"Revoke {key} of {name}", text, grave=True), asked)

    def _revoked(self, key: str) -> None:
        self.place.action_ask()
        self.main.notify(f"{key} works until that is applied: {self.main.key_of('plan')} plans it", markup=False)

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

    def _keys(self, where: Where) -> Iterator[Line]:
        """Each with how it is known and, where the files and the gateways do not say the same, what an apply does."""
        keys = self.dossier.keys if self.dossier else ()
        yield facts("keys", "one is needed" if where.keys else "none needed")
        plan = self.main.key_of("plan")
        for one in keys:
            said = (
                ""
                if one.wanted and one.works
                else f"  not applied yet: {plan} plans it"
                if one.wanted
                else (f"  revoked in the files; it works until that is applied: {plan} plans it")
            )
            yield facts("", (f"{clean(one.name):<16}", "bold"), (f" {known_by(one)}", "dim"), (said, "warn"))

    def _names(self, where: Where) -> Iterator[Line]:
        spec = self.dossier.spec if self.dossier else None
        yield from self._keys(where)
        names = [where.model, *(spec.endpoint.model_names if spec is not None else ())]
        yield facts("models", clean(", ".join(dict.fromkeys(names))))


def _read_again(session: Session, done: T) -> T:
    """The files say something else now. What was made is not lost when somebody else broke them meanwhile: the next plan says
    that.
    """
    with contextlib.suppress(DeployerError):
        session.reload()
    return done


def known_by(key: KeyState) -> str:
    """A digest as short as it tells keys apart, or the reference."""
    digest = len(key.known_by) == 64
    return f"sha256 {key.known_by[:12]}" if digest else clean(key.known_by)
