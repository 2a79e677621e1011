"""What can be said after `:`, and what the palette lists. One table for both, and for help."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.suggester import SuggestFromList

from deployer.errors import UsageError
from deployer.tui import themes

if TYPE_CHECKING:
    from deployer.tui.app import DeployerApp


@dataclass(frozen=True, slots=True)
class Command:
    """`run(app, words)`: the words behind the command's name. `takes` says which, for people."""

    text: str
    run: Callable[["DeployerApp", list[str]], None]
    takes: str = ""


def _place(name: str) -> Callable[["DeployerApp", list[str]], None]:
    return lambda app, words: app.go(name)


def _theme(app: "DeployerApp", words: list[str]) -> None:
    if not words:
        app.action_change_theme()
    else:
        app.theme = themes.full(app, words[0])


def _deployment(app: "DeployerApp", words: list[str]) -> None:
    if not words:
        raise UsageError("which deployment?", hint=":deployment NAME")
    app.session.fleet.known(deployments=words[:1])
    app.open_deployment(words[0])


COMMANDS: Mapping[str, Command] = {
    "fleet": Command("hosts, GPUs and deployments", _place("fleet")),
    "plan": Command("ask the hosts and review what would change", lambda app, words: app.plan_again()),
    "apply": Command("the apply that runs, or the last one", _place("apply")),
    "drift": Command("what was changed on the hosts behind our back", _place("drift")),
    "deployment": Command("one deployment", _deployment, "NAME"),
    "new": Command("write a new deployment", lambda app, words: app.new_deployment()),
    "theme": Command("light, dark, or the terminal's own colours", _theme, "[NAME]"),
    "help": Command("the keys of this place", lambda app, words: app.action_help()),
    "quit": Command("leave; what runs on the hosts goes on", lambda app, words: app.leave()),
}


def say(app: "DeployerApp", text: str) -> None:
    """Runs "plan", "theme nord". Raises UsageError for a word that is no command."""
    words = text.split()
    if not words:
        return
    name = words[0].removeprefix(":")
    found = [name] if name in COMMANDS else [one for one in COMMANDS if one.startswith(name)]
    if len(found) != 1:
        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean :{close[0]}?" if close else f"there is: {', '.join(COMMANDS)}"
        raise UsageError(f"there is no command :{name}", hint=hint)
    COMMANDS[found[0]].run(app, words[1:])


def suggester() -> SuggestFromList:
    return SuggestFromList(list(COMMANDS))


class Palette(Provider):
    """The same commands, found by typing in the palette."""

    async def discover(self) -> Hits:
        for name, command in COMMANDS.items():
            if not command.takes or command.takes.startswith("["):
                yield DiscoveryHit(name, self._runner(name), help=command.text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, command in COMMANDS.items():
            score = matcher.match(f"{name} {command.text}")
            if score > 0 and (not command.takes or command.takes.startswith("[")):
                yield Hit(score, matcher.highlight(name), self._runner(name), help=command.text)

    def _runner(self, name: str) -> Callable[[], None]:
        from deployer.tui.app import DeployerApp

        app = self.app
        assert isinstance(app, DeployerApp)
        return lambda: app.say(name)
