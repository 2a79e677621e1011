"""Which addresses a host must reach for what it serves, and what it means when one does not answer. Called by app.doctor: asking
takes seconds, so no plan does it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from deployer.agent.wire import Answer
from deployer.plan.environments import HUB
from deployer.plan.model import Change, Finding
from deployer.plan.modelfiles import name_of
from deployer.plan.preflight.access import models
from deployer.plan.preflight.finding import REFUSE, WARN
from deployer.plan.preflight.subject import Subject
from deployer.plan.target import fitting_target
from deployer.plan.world import World
from deployer.spec.source import Source
from deployer.state.resources import Kind

HUB_URL = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Way:
    """`kind`: "hub" or "index". `url` may hold a password: `shown` does not; empty: what the host's environment names. `token`:
    the id of a secret. `needed`: the plan that would be made now wants something from there.
    """

    id: str
    host: str
    kind: str
    url: str
    deployment: str
    about: str = ""  # the model
    token: str | None = None
    gated: bool = False
    needed: bool = False
    source: Source | None = None

    @property
    def shown(self) -> str:
        if not self.url:
            return "that its own environment names"
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def ways(world: World, found: Sequence[Subject], changes: Sequence[Change]) -> dict[str, list[Way]]:
    """By host, each address once."""
    fetched = [c for c in changes if c.after is not None and c.after.payload.get("method", "download") == "download"]
    wanted = {(c.host, c.name if c.kind is Kind.MODEL else str(c.kind)) for c in fetched}
    by_host: dict[str, dict[tuple[str, str], Way]] = {}
    for subject in found:
        for way in (*_hub(world, subject, wanted), *_indexes(world, subject, wanted)):
            by_host.setdefault(way.host, {}).setdefault((way.kind, way.url), way)
    return {host: list(mine.values()) for host, mine in sorted(by_host.items())}


def _hub(world: World, subject: Subject, wanted: set[tuple[str, str]]) -> Iterator[Way]:
    host = world.fleet.hosts[subject.place.host]
    for locked, token, path in models(world, subject):
        named = [f.path for f in locked.files] or ["config.json"]
        file = "config.json" if "config.json" in named else named[0]  # GGUF has none
        url = f"{(host.hub_url or HUB_URL).rstrip('/')}/{locked.name}/resolve/{locked.commit}/{quote(file)}"
        needed = (host.name, name_of(locked)) in wanted
        source = subject.source(world, *path)
        secret = token.id if token is not None else None
        name = subject.place.deployment
        yield Way(locked.key, host.name, "hub", url, name, locked.name, secret, locked.facts.gated, needed, source)


def _indexes(world: World, subject: Subject, wanted: set[tuple[str, str]]) -> Iterator[Way]:
    """Not where every wheel is pushed."""
    host, packages = world.fleet.hosts[subject.place.host], world.fleet.packages
    needs = [need.name for need in world.engines[subject.spec.engine.name].environments(subject.spec)]
    needs += [HUB.name] if any(True for _ in models(world, subject)) else []
    for name in needs:
        locked = world.locked.environments.get(name)
        target, _ = fitting_target(locked.targets if locked else {}, subject.reached.probe)
        if target is None or len(target.wheels) >= target.packages:
            continue
        source = world.positions.of(f"host:{host.name}", "index_url")
        for url in (host.index_url or packages.index_url or "", *packages.extra_index_urls):
            needed = (host.name, str(Kind.ENVIRONMENT)) in wanted
            yield Way(
                f"index:{url}",
                host.name,
                "index",
                f"{url.rstrip('/')}/" if url else "",
                subject.place.deployment,
                "",
                None,
                False,
                needed,
                source,
            )


#: By state of an answer; {host} is its file.
_DO = {
    "name": "its resolver (/etc/resolv.conf), {kind}_url: in {host} for a mirror, or proxy: where only that knows the names",
    "timeout": "a firewall may drop it: proxy: in {host}, or {kind}_url: for a mirror",
    "connect": "a firewall may refuse it: proxy: in {host}, or {kind}_url: for a mirror",
    "tls": "ca: in {host} names the certificate of the company's own authority; or its clock is wrong",
    "proxy": "proxy: in {host}, /etc/environment on the host",
}


def findings(asked: Mapping[str, Sequence[Way]], answers: Mapping[str, Sequence[Answer]]) -> Iterator[Finding]:
    for host, mine in sorted(asked.items()):
        told = {answer["id"]: answer for answer in answers.get(host, ())}
        for way in mine:
            answer = told.get(way.id)
            if answer is not None and answer["state"] not in ("ok", "unasked"):
                yield _finding(way, answer)


def _finding(way: Way, answer: Answer) -> Finding:
    severity, status = (REFUSE if way.needed else WARN), answer.get("status")
    where = (way.host, way.deployment, way.source)
    if way.kind == "hub" and status in (401, 403):
        named = f"with the token {way.token}" if way.token else "without a token"
        what = f"{way.shown} does not give {way.about} to {way.host} {named} (it answers {status})"
        why = "the download would fail" + (": the model is gated" if way.gated else "")
        do = (
            "accept its licence on the model's page with the account of the token"
            if way.token
            else "write model.token: {env: HF_TOKEN}"
        )
        return Finding("token", severity, what, why, do, *where)
    if way.kind == "hub" and status == 404:
        what = f"{way.shown} has no {way.about} at the commit that deployer.lock pins"
        return Finding("hub", severity, what, "the download would fail", f"deployer lock --upgrade {way.id}", *where)
    if answer["state"] == "socks":
        what = f"whether {way.host} reaches the {way.kind} {way.shown} was not tried: {answer['message']}"
        return Finding(way.kind, WARN, what, "a way that is closed shows at the apply", "an HTTP proxy can be tried", *where)
    what = f"{way.host} does not reach the {way.kind} {way.shown}: {answer['message']}"
    why = "models are fetched by the host itself" if way.kind == "hub" else "packages are fetched by the host itself"
    file = f"hosts/{way.host}.yaml"
    do = _DO.get(answer["state"], "{kind}_url: in {host}, with its user and password where it wants some").format(
        kind=way.kind, host=file
    )
    return Finding(way.kind, severity, what, why, do, *where)
