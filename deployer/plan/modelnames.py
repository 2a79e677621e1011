"""Which deployment a model's name stands for, on each gateway: never two."""

from collections.abc import Iterable, Mapping, Sequence

from deployer.plan.model import Refusal
from deployer.plan.world import World
from deployer.state.resources import Kind, Resource


def refusals(
    world: World,
    wanted: Mapping[str, Mapping[str, Resource]],
    recorded: Mapping[str, Mapping[str, Sequence[Resource]]],
) -> Iterable[Refusal]:
    """`wanted`: host → address → resource; `recorded`: host → deployment → resources, which count for deployments that this plan
    is not about.
    """
    said = set()
    for host, resources in sorted(wanted.items()):
        claims: dict[str, str] = {}
        for endpoint in _endpoints(resources.values(), recorded.get(host, {})):
            for name in endpoint.payload.get("models", ()):
                first = claims.setdefault(name, endpoint.name)
                if first != endpoint.name and (first, endpoint.name, name) not in said:
                    said.add((first, endpoint.name, name))
                    yield _refusal(world, name, first, endpoint.name, host)


def _endpoints(wanted: Iterable[Resource], recorded: Mapping[str, Sequence[Resource]]) -> list[Resource]:
    kind = Kind.ENDPOINT
    mine = [r for r in wanted if r.kind is kind]
    planned = {r.name for r in mine}
    others = [r for name, rs in recorded.items() if name not in planned for r in rs if r.kind is kind]
    return sorted([*mine, *others], key=lambda r: r.name)


def _refusal(world: World, model: str, one: str, other: str, host: str) -> Refusal:
    what = f"{one} and {other} are both called {model} at the gateway on {host}"
    hint = "take the name out of one endpoint.model_names: a request for a model must reach one deployment"
    said = next((d for d in (other, one) if d in world.fleet.deployments and d != model), other)
    source = world.positions.of(f"deployment:{said}", "endpoint", "model_names")
    return Refusal("model-name", what, (), hint, host, said, source)
