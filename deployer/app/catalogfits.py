"""Which hosts could serve what the catalogue has: `fitting.survey` of each entry, of the engines that it names. Called by
`deployer models --fits` and by the wizard.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deployer.app import catalog
from deployer.app.fitting import Survey, Way, Wish, device, survey
from deployer.engines import ENGINES
from deployer.plan.fit import GIB
from deployer.spec.models import HostSpec
from deployer.spec.shelf import Shelved
from deployer.state.locked import Locked
from deployer.state.observed import Observed

#: Hosts that are named in a line; of more, how many.
NAMED = 3
#: Requests that are shorter are of no use to anybody, in tokens.
SHORTEST = 4096

#: On one host: it fits; it fits when requests are shorter than the model's longest; its weights do; it does not; nobody can say.
How = Literal["fit", "shorter", "weights", "no", "unknown"]
HOWS: tuple[How, ...] = ("fit", "shorter", "weights", "no", "unknown")


@dataclass(frozen=True, slots=True)
class Stand:
    """How an entry stands on one host. `where`: its GPUs, or what else it needs there, in words."""

    how: How
    way: Way
    where: str


@dataclass(frozen=True, slots=True)
class Fits:
    """One entry, held against the hosts: `hosts` could serve it, `shorter` could with requests of at most `context` tokens, on
    `weights` at least its weights fit (the rest is known once deployer.lock has it). `needs`: bytes on each of `gpus` GPUs (0: of
    the host) that would do, 0: nobody can say. `lacks`: what nobody knows of it, in a word or two. `why`: how it stands there or
    what is in the way, in words.
    """

    hosts: tuple[str, ...] = ()
    shorter: tuple[str, ...] = ()
    context: int = 0
    weights: tuple[str, ...] = ()
    lacks: str = ""
    needs: int = 0
    gpus: int = 0
    computed: bool = False
    why: str = ""


def surveys(
    wanted: Iterable[Shelved], locked: Locked, observed: Observed, hosts: Mapping[str, HostSpec]
) -> Iterator[tuple[Shelved, Survey]]:
    """`hosts`: their files. With the settings that an entry begins with: a translator needs its languages, and int8 is half of
    16 bits.
    """
    for shelf in wanted:
        wish = Wish(settings=shelf.entry.engines)
        yield shelf, survey(catalog.locked_as(shelf.entry, locked), wish, observed, hosts)


def ways(shelf: Shelved, found: Survey) -> list[Way]:
    """Of the engines that the entry names; the best one of each host, and why where there is none."""
    best: dict[str, Way] = {}
    for way in found.ways:  # best first on each host
        if way.engine in shelf.entry.engines:
            best.setdefault(way.host, way)
    return list(best.values())


def fits(wanted: Iterable[Shelved], locked: Locked, observed: Observed, hosts: Mapping[str, HostSpec]) -> Mapping[str, Fits]:
    """By name of the entry."""
    return {shelf.entry.name: _of(shelf, found) for shelf, found in surveys(wanted, locked, observed, hosts)}


def of_fleet(root: Path, wanted: Iterable[Shelved], observed: Observed, hosts: Mapping[str, HostSpec]) -> Mapping[str, Fits]:
    """With what the lock of the fleet at `root` knows. Takes a second for a hundred hosts."""
    from deployer.app.locking import existing_lock

    return fits(wanted, existing_lock(root), observed, hosts)


def stands(shelf: Shelved, found: Survey) -> list[Stand]:
    """On each host that an engine of the entry reads it on."""
    return [_stand(found, way) for way in ways(shelf, found)]


def best(every: Sequence[Stand]) -> How:
    """As it stands on the host that suits it best; "unknown" where no host or no engine was there to ask."""
    return min((one.how for one in every), key=HOWS.index, default="unknown")


def _stand(found: Survey, way: Way) -> Stand:
    alone = catalog.weights_alone(found.model, way)
    if way.serves:
        return Stand("fit", way, device(way))
    if way.verdict == "no" and (context := _shorter(way)):
        return Stand("shorter", way, f"{device(way)}, max_model_len {context}")
    if alone:
        return Stand("weights", way, device(way, alone))
    return Stand("no" if way.verdict == "no" else "unknown", way, device(way))


def _shorter(way: Way) -> int:
    """How long requests may be where the longest are too long; 0 when even short ones are, or the engine has no such setting."""
    longest = way.answer.largest_context if way.answer is not None else 0
    takes = "max_model_len" in ENGINES[way.engine].Settings.model_fields
    return longest if takes and longest >= SHORTEST else 0


def lacking(shelf: Shelved, found: Survey) -> tuple[str, str]:
    """What nobody knows of it: in a word or two, and in a sentence that says what to do about it."""
    facts, exact, then = found.model.facts, found.model.commit is not None, known_by(found.model.name)
    if not exact and facts.weights_bytes is None:
        return "size not known", f"its entry does not say its size; {then}"
    if not exact and (facts.cache is None or not facts.layers) and facts.architectures == ():
        return "layers not known", f"its entry does not say its layers; {then}"
    if not exact and not facts.context:
        return "context not known", f"its entry does not say how long a request may be; {then}"
    mine = ways(shelf, found)
    unknown = next((way.answer.unknown for way in mine if way.answer and way.answer.unknown), None)
    unread = next((found.unread[engine] for engine in shelf.entry.engines if engine in found.unread), "no host answered")
    return "not computed", unknown or (mine[0].what if mine else unread)


def known_by(model: str) -> str:
    """Who can tell what the catalogue does not say of it."""
    return f"deployer fit {model} asks the hub, and deployer.lock has it once a deployment of it is locked"


def _of(shelf: Shelved, found: Survey) -> Fits:
    every = stands(shelf, found)
    there = {how: [one for one in every if one.how == how] for how in HOWS}
    if fit := there["fit"]:
        way = fit[0].way
        return Fits(hosts=_hosts(fit), computed=True, why=f"{way.engine} on {device(way)} of {way.host}")
    if shorter := there["shorter"]:
        way = max((one.way for one in shorter), key=_shorter)
        why = f"{way.engine} on {device(way)} of {way.host} with max_model_len {_shorter(way)}; {way.what}"
        return Fits(shorter=_hosts(shorter), context=_shorter(way), computed=True, why=why)
    if alone := there["weights"]:
        _, says = lacking(shelf, found)
        return Fits(weights=_hosts(alone), why=f"{alone[0].where} of {alone[0].way.host}; {says}")
    no = [one.way for one in there["no"]]
    least = min((way for way in no if way.answer and way.answer.smallest_gpu), key=_least, default=None)
    if least is not None and least.answer is not None:
        return Fits(needs=least.answer.smallest_gpu, gpus=least.gpus, computed=True, why=least.what)
    if no:
        return Fits(computed=True, why=no[0].what)
    lacks, why = lacking(shelf, found)
    return Fits(lacks=lacks, why=why)


def _hosts(every: Sequence[Stand]) -> tuple[str, ...]:
    return tuple(one.way.host for one in every)


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
    """As "fits lab-1, lab-2", "fits no host: needs 18 GiB", or that it is not known."""
    if found.hosts:
        return f"fits {named(found.hosts)}"
    if found.shorter:
        return f"fits {named(found.shorter)} with requests of at most {found.context} tokens"
    if found.weights:
        return f"its weights fit {named(found.weights)}"
    if found.computed:
        return f"fits no host: {needed(found) or found.why}"
    return "whether it fits is not computed"
