"""Which hosts could serve what the catalogue has: `fitting.survey` of each entry, of the engines that it names. Called by
`deployer models --fits` and by the wizard.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployer.app import catalog
from deployer.app.fitting import Survey, Way, Wish, device, survey
from deployer.plan.fit import GIB
from deployer.spec.models import HostSpec
from deployer.spec.shelf import Shelved
from deployer.state.locked import Locked
from deployer.state.observed import Observed

#: Hosts that are named in a line; of more, how many.
NAMED = 3


@dataclass(frozen=True, slots=True)
class Fits:
    """One entry, held against the hosts: `hosts` could serve it, on `weights` at least its weights fit (the rest is known once
    deployer.lock has it). `needs`: bytes on each of `gpus` GPUs (0: of the host) that would do, 0: nobody can say. `why`: how it
    stands there or what is in the way, in words.
    """

    hosts: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    needs: int = 0
    gpus: int = 0
    computed: bool = False
    why: str = ""


def surveys(
    wanted: Iterable[Shelved], locked: Locked, observed: Observed, hosts: Mapping[str, HostSpec]
) -> Iterator[tuple[Shelved, Survey]]:
    """`hosts`: their files."""
    for shelf in wanted:
        yield shelf, survey(catalog.locked_as(shelf.entry, locked), Wish(), observed, hosts)


def ways(shelf: Shelved, found: Survey) -> list[Way]:
    """Of the engines that the entry names; the best one of each host, and why where there is none."""
    best: dict[str, Way] = {}
    for way in found.ways:  # best first on each host
        if way.engine in shelf.entry.engines:
            best.setdefault(way.host, way)
    return list(best.values())


def fits(wanted: Iterable[Shelved], locked: Locked, observed: Observed, hosts: Mapping[str, HostSpec]) -> Mapping[str, Fits]:
    """By name of the entry."""
    return {shelf.entry.name: _of(ways(shelf, found), found) for shelf, found in surveys(wanted, locked, observed, hosts)}


def of_fleet(root: Path, wanted: Iterable[Shelved], observed: Observed, hosts: Mapping[str, HostSpec]) -> Mapping[str, Fits]:
    """With what the lock of the fleet at `root` knows. Takes a second for a hundred hosts."""
    from deployer.app.locking import existing_lock

    return fits(wanted, existing_lock(root), observed, hosts)


def _of(mine: list[Way], found: Survey) -> Fits:
    serve = [way for way in mine if way.serves]
    alone = [(way, n) for way in mine if (n := catalog.weights_alone(found.model, way))]
    if serve:
        why = f"{serve[0].engine} on {device(serve[0])} of {serve[0].host}"
        return Fits(hosts=tuple(way.host for way in serve), computed=True, why=why)
    if alone:
        why = f"{device(*alone[0])} of {alone[0][0].host}; how much goes beside them is known once deployer.lock has it"
        return Fits(weights=tuple(way.host for way, _ in alone), why=why)
    no = [way for way in mine if way.verdict == "no"]
    least = min((way for way in no if way.answer and way.answer.smallest_gpu), key=_least, default=None)
    if least is not None and least.answer is not None:
        return Fits(needs=least.answer.smallest_gpu, gpus=least.gpus, computed=True, why=least.what)
    if no:
        return Fits(computed=True, why=no[0].what)
    unknown = next((way.answer.unknown for way in mine if way.answer and way.answer.unknown), None)
    return Fits(why=unknown or (mine[0].what if mine else next(iter(found.unread.values()), "")))


def _least(way: Way) -> tuple[int, int]:
    assert way.answer is not None
    return (way.answer.smallest_gpu * max(1, way.gpus), way.gpus)


def named(hosts: tuple[str, ...]) -> str:
    """As "h1, h2, h3 and 5 more"."""
    more = len(hosts) - NAMED
    return ", ".join(hosts) if more <= 0 else f"{', '.join(hosts[:NAMED])} and {more} more"


def needed(found: Fits) -> str:
    """ "needs 2 × 18 GiB"; empty when nobody can say."""
    if not found.needs:
        return ""
    return f"needs {f'{found.gpus} × ' if found.gpus > 1 else ''}{found.needs // GIB} GiB"


def words(found: Fits) -> str:
    """As "fits lab-1, lab-2", "fits no host: needs 18 GiB", or why it is not known."""
    if found.hosts:
        return f"fits {named(found.hosts)}"
    if found.weights:
        return f"its weights fit {named(found.weights)}"
    if found.computed:
        return f"fits no host: {needed(found) or found.why}"
    return "whether it fits is not computed"
