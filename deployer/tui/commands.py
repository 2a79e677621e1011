"""What can be said after `:`, and what the palette lists: the same commands, and the actions of the place one is in."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider

from deployer.errors import UsageError
from deployer.tui import holding, themes
from deployer.tui.line import Line, line

if TYPE_CHECKING:
    from deployer.tui.app import DeployerApp


def _nothing(app: "DeployerApp") -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Command:
    """`run(app, words)`: the words behind the command's name. `takes` says which, for people; `words` are those there are."""

    text: str
    run: Callable[["DeployerApp", list[str]], None]
    takes: str = ""
    words: Callable[["DeployerApp"], Sequence[str]] = _nothing

    @property
    def alone(self) -> bool:
        """Whether it can be said without a word behind it."""
        return not self.takes or self.takes.startswith("[")


def _place(name: str) -> Callable[["DeployerApp", list[str]], None]:
    return lambda app, words: app.go(name)


def _theme(app: "DeployerApp", words: list[str]) -> None:
    if words:
        app.theme = themes.full(app, words[0])
    else:
        app.action_change_theme()


def _deployment(app: "DeployerApp", words: list[str]) -> None:
    if not words:
        raise UsageError("which deployment?", hint=":deployment NAME")
    app.session.fleet.known(deployments=words[:1])
    app.open_deployment(words[0])


def _host_verb(verb: str) -> Callable[["DeployerApp", list[str]], None]:
    def run(app: "DeployerApp", words: list[str]) -> None:
        if len(words) != 1:
            raise UsageError("which host?", hint=f":{verb} HOST")
        holding.hold_host(app, verb, words[0])

    return run


def _roll_back(app: "DeployerApp", words: list[str]) -> None:
    """To the last revision that answered, or to one by its number."""
    if not words or len(words) > 2 or (len(words) == 2 and not words[1].isdigit()):
        raise UsageError("which deployment, and to which revision?", hint=":rollback NAME [REVISION]")
    holding.roll_back(app, words[0], int(words[1]) if len(words) == 2 else None)


def _canary(verb: str) -> Callable[["DeployerApp", list[str]], None]:
    def run(app: "DeployerApp", words: list[str]) -> None:
        if len(words) != 1:
            raise UsageError("which deployment?", hint=f":{verb} NAME")
        app.session.must_write(f"{verb} {words[0]}")
        app.session.fleet.known(deployments=words)
        deployment = app.session.fleet.deployment(words[0])
        if verb == "promote":
            app.review_hold(deployment.promote)
        else:
            holding.ask(app, f"Revert the canary of {words[0]}", deployment.revert)

    return run


def _release(app: "DeployerApp", words: list[str]) -> None:
    if len(words) != 1:
        raise UsageError("which deployment?", hint=":release NAME")
    app.session.must_write("ending a hold")
    app.session.fleet.known(deployments=words)
    app.review_hold(app.session.fleet.deployment(words[0]).release)


def _hosts(app: "DeployerApp") -> Sequence[str]:
    return sorted(app.session.fleet.spec.hosts)


def _held(app: "DeployerApp") -> Sequence[str]:
    status = app.now.status
    return [one.name for one in status.deployments if one.hold] if status is not None else ()


def _tried(app: "DeployerApp") -> Sequence[str]:
    status = app.now.status
    return [one.name for one in status.deployments if one.canary] if status is not None else ()


def _deployments(app: "DeployerApp") -> Sequence[str]:
    return sorted(app.session.fleet.spec.deployments)


COMMANDS: Mapping[str, Command] = {
    "fleet": Command("hosts, GPUs and deployments", _place("fleet")),
    "plan": Command("ask the hosts and review what would change", lambda app, words: app.plan_again()),
    "apply": Command("the apply that runs, or the last one", _place("apply")),
    "drift": Command("what was changed on the hosts behind our back", _place("drift")),
    "deployment": Command("one deployment", _deployment, "NAME", _deployments),
    "rollback": Command("back to an earlier revision, through a plan", _roll_back, "NAME [REVISION]", _deployments),
    "release": Command("end what a person holds a deployment at, through a plan", _release, "NAME", _held),
    "promote": Command("all replicas become what the canary is, through a plan", _canary("promote"), "NAME", _tried),
    "revert": Command("the canary goes and the others are held, through a plan", _canary("revert"), "NAME", _tried),
    "cordon": Command("nothing new is placed on a host", _host_verb("cordon"), "HOST", _hosts),
    "drain": Command("the replicas of a host move away, through a plan", _host_verb("drain"), "HOST", _hosts),
    "uncordon": Command("end a cordon or a drain", _host_verb("uncordon"), "HOST", _hosts),
    "new": Command("write a new deployment", lambda app, words: app.new_deployment()),
    "theme": Command("light, dark, or the terminal's own colours", _theme, "[NAME]", themes.names),
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


def complete(app: "DeployerApp", typed: str) -> list[tuple[str, Line]]:
    """The lines that this could become, each as it is shown: commands, then the words that one takes."""
    name, blank, rest = typed.removeprefix(":").lstrip().partition(" ")
    if blank:
        command = COMMANDS.get(name)
        words = command.words(app) if command is not None else ()
        return [(f"{name} {word}", line(word)) for word in words if word.startswith(rest.strip())]
    return [
        (one, line((f"{one} {command.takes}".strip().ljust(18), "bold"), (command.text, "dim")))
        for one, command in COMMANDS.items()
        if one.startswith(name)
    ]


class Palette(Provider):
    """What can be done, found by typing: the keys of this place first, then the commands."""

    async def discover(self) -> Hits:
        for name, text, run in self._all():
            yield DiscoveryHit(name, run, help=text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, text, run in self._all():
            score = matcher.match(f"{name} {text}")
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, help=text)

    def _all(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        from deployer.tui.app import DeployerApp

        app = self.app
        assert isinstance(app, DeployerApp)
        seen = set()
        for node, binding, enabled, tooltip in self.screen.active_bindings.values():
            if enabled and binding.show and binding.description and node is not app and binding.action not in seen:
                seen.add(binding.action)
                key = app.get_key_display(binding)
                yield binding.description, f"key {key}  {tooltip}".rstrip(), partial(app.simulate_key, binding.key)
        for name, command in COMMANDS.items():
            if command.alone:
                yield f":{name}", command.text, partial(app.say, name)
            else:
                for word in command.words(app):
                    yield f":{name} {word}", command.text, partial(app.say, f"{name} {word}")
