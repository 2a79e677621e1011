"""What a plan says of the certificate that gateways show to clients: refused, or soon to be renewed."""

from collections.abc import Iterable
from datetime import datetime

from deployer.plan.model import Notice, Refusal
from deployer.plan.words import count
from deployer.plan.world import World

SOON_DAYS = 30


def refusals(world: World) -> Iterable[Refusal]:
    """One that cannot be read, does not belong to its key, or is not valid today."""
    found, tls = world.certificate, world.fleet.gateway.tls
    if found is None or tls is None:
        return
    what = _wrong(world, tls.certificate)
    if what is not None:
        source = world.positions.of("deployer", "gateway", "tls", "certificate")
        hint = "renew it, or name another under gateway.tls in deployer.yaml"
        yield Refusal("certificate", what, (), hint, source=source)


def _wrong(world: World, path: str) -> str | None:
    found = world.certificate
    assert found is not None
    if found.problem is not None:
        return f"the certificate {path} {found.problem}"
    if found.fits is False:
        return f"the certificate {path} does not belong to gateway.tls.key"
    if found.not_after <= world.now:
        return f"the certificate {path} expired at {found.not_after}"
    return f"the certificate {path} is not valid before {found.not_before}" if found.not_before > world.now else None


def notices(world: World) -> Iterable[Notice]:
    found, tls = world.certificate, world.fleet.gateway.tls
    if found is None or tls is None or found.problem is not None or found.not_after <= world.now:
        return
    days = (datetime.fromisoformat(found.not_after) - datetime.fromisoformat(world.now)).days
    if days < SOON_DAYS:
        left = count(days, "day") if days else "less than a day"
        what = f"the certificate {tls.certificate} expires in {left}, at {found.not_after}"
        yield Notice("certificate", what, "renew it and apply: gateways take it up without a break")
