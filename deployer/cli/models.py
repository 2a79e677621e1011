"""`deployer models`: the catalogue: what is in it, what of it a host could serve, one entry whole with a deployment to paste."""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import folder, open_fleet
from deployer.spec.catalog import KINDS

if TYPE_CHECKING:
    from deployer.app.fitting import Survey, Way
    from deployer.spec.catalog import CatalogEntry, CatalogSource
    from deployer.spec.shelf import Shelved

EXAMPLES = (
    "deployer models --kind embedding",
    "deployer models --fits gpu-01 --kind chat       # those that it could serve, and how",
    "deployer models qwen3-8b                        # all of it, with a deployment to paste",
    "deployer models qwen3-8b --engine ctranslate2 > deployments/chat.yaml",
)


class _Names(list[str]):
    """For completion; a fleet has names of its own, so any other is looked up too."""

    def __contains__(self, name: object) -> bool:
        return True


def arguments(parser: argparse.ArgumentParser) -> None:
    names = sorted(file.removesuffix(".yaml") for file in os.listdir(_ours()) if file.endswith(".yaml"))
    parser.add_argument(
        "name", metavar="NAME", nargs="?", choices=_Names(names), help="an entry, or its repository: all that it says"
    )
    parser.add_argument("--kind", action="append", default=[], choices=KINDS, help="only these")
    parser.add_argument("--fits", action="append", default=[], metavar="HOST", help="only what this host could serve: asks it")
    parser.add_argument("--engine", metavar="ENGINE", help="of NAME: the deployment for this engine (default: its first)")
    shared.as_json(parser)


def _ours() -> Path:
    return Path(__file__).parents[1] / "catalog"


def run(args: argparse.Namespace) -> int:
    from deployer.app import catalog

    found = catalog.entries(folder(args))
    if args.name is not None:
        shelf = catalog.one(found, args.name)
        _emit(shelf, args) if args.json else _whole(shelf, args.engine)
        return 0
    wanted = catalog.of_kind(found, args.kind)
    if args.fits:
        return _fits(args, wanted)
    if args.json:
        console.emit({"models": [_json(shelf) for shelf in wanted]})
    else:
        console.out(console.table([_HEAD, *(_row(shelf) for shelf in wanted)]))
    return 0


_HEAD = ("NAME", "KIND", "PARAMETERS", "CONTEXT", "LICENCE", "ENGINES")


def _row(shelf: "Shelved") -> tuple[str, ...]:
    entry = shelf.entry
    size = f"{entry.parameters or '–'}{f' ({entry.active} active)' if entry.active else ''}"
    context = str(entry.context) if entry.context else "–"
    licence = f"{entry.license or '–'}{' (gated)' if entry.gated else ''}"
    return (entry.name, entry.kind, size, context, licence, ", ".join(entry.engines))


def _fits(args: argparse.Namespace, wanted: "Sequence[Shelved]") -> int:
    from deployer.app import catalog
    from deployer.app.fitting import Wish, survey
    from deployer.app.locking import existing_lock

    with open_fleet(args) as fleet:
        fleet.known(hosts=args.fits)
        observed = fleet.probe(args.fits)
        locked = existing_lock(fleet.root)
    surveys = {one.entry.name: survey(catalog.locked_as(one.entry, locked), Wish(), observed) for one in wanted}
    ways = {one.entry.name: _ways(one.entry, surveys[one.entry.name]) for one in wanted}
    silent = next(iter(surveys.values())).silent if surveys else {}
    if args.json:
        models = [{**_json(one), "ways": [_way_json(way) for way in ways[one.entry.name]]} for one in wanted]
        console.emit({"models": models, "unreachable": dict(silent)})
    else:
        _table(wanted, ways)
        for host, why in silent.items():
            console.say(f"? {host}  {why}")
    return 6 if silent else 0


def _ways(entry: "CatalogEntry", survey: "Survey") -> "list[Way]":
    """Of the engines that the entry names; the best one of each host, and why where there is none."""
    mine = [way for way in survey.ways if way.engine in entry.engines]
    found: dict[str, Way] = {}
    for way in mine:  # best first on each host
        found.setdefault(way.host, way)
    return list(found.values())


def _table(wanted: "Sequence[Shelved]", ways: "Mapping[str, Sequence[Way]]") -> None:
    """Those that some host could serve. Of the others, how many there are and why nothing is known of them."""
    from deployer.app.fitting import device

    marks = {"fits": "✓", "tight": "≈"} if console.unicode() else {}
    rows: list[tuple[str, ...]] = [("", *_HEAD[:4], "HOST", "ENGINE", "ON")]
    for shelf in wanted:
        serving = [way for way in ways[shelf.entry.name] if way.serves]
        rows += [(marks.get(w.verdict, w.verdict), *_row(shelf)[:4], w.host, w.engine, device(w)) for w in serving]
    if len(rows) > 1:
        console.out(console.table(rows))
    others = [one for one in wanted if not any(way.serves for way in ways[one.entry.name])]
    unknown = [one.entry.name for one in others if any(way.verdict == "unknown" for way in ways[one.entry.name])]
    console.say(f"{len(wanted) - len(others)} of {len(wanted)} fit; {len(others) - len(unknown)} do not")
    if unknown:
        console.say(
            f"{len(unknown)} are not computed: the catalogue or the engine says too little; deployer fit ORG/NAME asks the hub"
        )


def _way_json(way: "Way") -> dict[str, Any]:
    return {
        "host": way.host,
        "engine": way.engine,
        "verdict": way.verdict,
        "gpus": way.gpus,
        "device": {"name": way.device, "memory": way.memory, "there": way.there, "free": way.free},
        "what": way.what,
        "would_fit": way.would or None,
    }


def _json(shelf: "Shelved") -> dict[str, Any]:
    """As the file has it."""
    return {"file": shelf.file, "own": shelf.own, **shelf.entry.model_dump(mode="json", exclude_unset=True)}


def _emit(shelf: "Shelved", args: argparse.Namespace) -> None:
    from deployer.app import catalog

    console.emit({**_json(shelf), "deployment": catalog.deployment(shelf.entry, args.engine)})


def _whole(shelf: "Shelved", engine: str | None) -> None:
    """All that is no deployment is a comment, so that the whole may go into a file of deployments/."""
    from deployer.app import catalog

    lines = [shelf.entry.about, "", *(f"{name:<12} {value}" for name, value in _facts(shelf))]
    console.out("\n".join(f"# {line}".rstrip() for line in lines))
    console.out(catalog.deployment(shelf.entry, engine))


def _facts(shelf: "Shelved") -> list[tuple[str, str]]:
    from deployer.app import catalog

    entry = shelf.entry
    _, kind, size, context, licence, engines = _row(shelf)
    found = [("kind", kind), ("repository", entry.repo), ("licence", licence), ("parameters", size), ("context", context)]
    found.append(("engines", engines))
    found += [(name.removesuffix("_parser").replace("_", " "), value) for name, value in catalog.parsers(entry).items()]
    found += [("quantized", f"{one.method}: {one.repo}") for one in entry.quantized]
    found += [("when", line) for line in entry.guidance]
    found += [("source", f"{source.url}: {_said(source)}") for source in entry.sources]
    return [*found, ("file", shelf.file)]


def _said(source: "CatalogSource") -> str:
    return f"{', '.join(source.says)}{'' if source.read else ' (nobody has looked there)'}"
