"""What a person holds, asked for and planned: the reason is asked first, and kept with the hold; then the plan is reviewed. And
a hold in words. Used by the places of a deployment and of the fleet, and by the commands.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from deployer.app.planned import Planned
from deployer.app.times import ago
from deployer.tui.line import Span, clean, line, paragraphs
from deployer.tui.modals.asking import Asking

if TYPE_CHECKING:
    from deployer.tui.app import DeployerApp

#: What can be done to a host: word → what comes of it.
HOST_VERBS = {
    "cordon": "Nothing new is placed there; nothing moves.",
    "drain": "Its replicas move where they fit, and no gateway sends there.",
    "uncordon": "What moved away stays where it is.",
}


class Make(Protocol):
    """Makes the plan, with the reason that was given."""

    def __call__(self, *, why: str | None) -> Planned: ...


def ask(app: "DeployerApp", title: str, make: Make, said: str = "") -> None:
    """Why, and then the plan of it in the review. Esc: nothing."""

    def asked(why: str | None) -> None:
        if why is not None:
            app.review_hold(lambda: make(why=why.strip() or None))

    lines = [said] if said else []
    lines += ["Nothing is done yet: Enter makes a plan, which is reviewed.", "Why? It is kept with it."]
    text = paragraphs([line(one) for one in lines])
    app.push_screen(Asking(title, text, placeholder="why (may stay empty)"), asked)


def roll_back(app: "DeployerApp", name: str, revision: int | None) -> None:
    """`revision` None: the last that answered. Raises UsageError in a read-only view, and for an unknown name."""
    app.session.must_write("a rollback")
    app.session.fleet.known(deployments=[name])
    deployment = app.session.fleet.deployment(name)
    to = f"to revision {revision}" if revision is not None else "to the last revision that answered"
    said = "It is held there, whatever the files say, until they say the same or it is released."
    ask(app, f"Roll {name} back {to}", lambda *, why: deployment.rollback(revision, why=why), said)


def hold_host(app: "DeployerApp", verb: str, host: str) -> None:
    """`verb` is one of HOST_VERBS. Raises UsageError in a read-only view, and for a host that is not in the fleet."""
    fleet = app.session.fleet
    app.session.must_write(f"{verb} {host}")
    fleet.known(hosts=[host])
    if verb == "uncordon":
        app.review_hold(lambda: fleet.uncordon([host]))
        return
    make = fleet.cordon if verb == "cordon" else fleet.drain
    ask(app, f"{verb.capitalize()} {host}", lambda *, why: make([host], why=why), HOST_VERBS[verb])


def host_verb_fits(app: "DeployerApp", verb: str, host: str | None) -> bool:
    """Whether there is a sense in it, as far as is known: what is drained is not cordoned, what nobody holds not released."""
    if host is None or host not in app.session.fleet.spec.hosts or app.session.read_only:
        return False
    status = app.now.status
    known = next((one for one in status.hosts if one.name == host), None) if status is not None else None
    state = known.state if known is not None else app.session.fleet.spec.hosts[host].state
    if verb == "uncordon":
        return known is None or known.hold is not None
    return state not in {"cordon": ("cordoned", "drained", "retired"), "drain": ("drained", "retired")}[verb]


def text(spans: Sequence[Span]) -> str:
    """Without its roles, where it is folded or cut as a whole."""
    return "".join(part for part, _ in spans)


def canary(name: str, one: Mapping[str, Any]) -> list[Span]:
    """ "10% of the requests go to chat/1, the others to revision 3; by ann, 2 h ago"."""
    share = f"{one.get('share')} of the requests go to {name}/{one.get('slot')}"
    who = f", the others to revision {one.get('base')}; by {clean(str(one.get('who')))}, {ago(one.get('at'))}"
    return [(share, "accent"), (who, "")]


def in_words(hold: Mapping[str, Any]) -> list[Span]:
    """ "rolled-back at revision 3 by ann, 2 h ago, until …: slow answers"."""
    at = f" at revision {hold['revision']}" if hold.get("revision") is not None else ""
    until = f", until {clean(str(hold['until']))}" if hold.get("until") else ""
    why = f": {clean(str(hold['why']))}" if hold.get("why") else ""
    return [(f"{hold.get('kind')}{at}", "warn"), (f" by {clean(str(hold.get('who')))}, {ago(hold.get('at'))}{until}{why}", "")]
