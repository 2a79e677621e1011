"""What a download from the hub needs besides the way there: a token for a model that is gated. Called by preflight."""

from collections.abc import Iterator, Sequence

from deployer.plan.artifacts import adapter_need, locked_model
from deployer.plan.model import Finding
from deployer.plan.modelfiles import name_of
from deployer.plan.preflight.finding import REFUSE, WARN
from deployer.plan.preflight.subject import Subject
from deployer.plan.world import World
from deployer.spec.models import SecretRef
from deployer.state.locked import LockedModel

_Path = tuple[str | int, ...]


def findings(world: World, found: Sequence[Subject], fetched: set[tuple[str, str]] | None) -> Iterator[Finding]:
    """`fetched`: (host, name) of the models that this plan downloads; None: look at all of them."""
    for subject in found:
        host = subject.place.host
        for locked, token, path in models(world, subject):
            if not locked.facts.gated or token is not None or (fetched is not None and (host, name_of(locked)) not in fetched):
                continue
            mirror = world.fleet.hosts[host].hub_url
            what = f"{subject.place.deployment}: {locked.name} is gated, and no token is named for it"
            why = (
                f"{mirror} may want one, as the hub itself does"
                if mirror
                else "the hub gives its files only to who has accepted the licence: the download would fail"
            )
            do = f"write {'.'.join(map(str, path))}.token: {{env: HF_TOKEN}}"
            source = subject.source(world, *path)
            yield Finding("token", WARN if mirror else REFUSE, what, why, do, host, subject.place.deployment, source)


def models(world: World, subject: Subject) -> Iterator[tuple[LockedModel, SecretRef | None, _Path]]:
    spec = subject.spec
    own = locked_model(world.locked, spec)
    if own is not None and own.source == "hub":
        yield own, spec.model.token, ("model",)
    for number, adapter in enumerate(spec.adapters):
        locked = world.locked.models.get(adapter_need(adapter).key)
        if locked is not None and locked.source == "hub":
            yield locked, adapter.token or spec.model.token, ("adapters", number)
