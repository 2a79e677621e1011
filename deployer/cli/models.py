"""`deployer models`: the catalogue: what is in it, what of it a host could serve, one entry whole with a deployment to paste."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import folder, open_fleet
from deployer.errors import UsageError
from deployer.spec.catalog import KINDS

if TYPE_CHECKING:
    from deployer.app.fitting import Survey
    from deployer.spec.catalog import CatalogSource
    from deployer.spec.shelf import Shelved

EXAMPLES = (
    "deployer models --kind embedding",
    "deployer models --fits gpu-01 --kind chat       # those that it could serve, and how",
    "deployer models qwen3-8b                        # all of it, with a deployment to paste",
    "deployer models qwen3-8b --fits gpu-01",
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
    parser.add_argument("--fits", action="append", default=[], metavar="HOST", help="what this host could serve: asks it")
    parser.add_argument("--engine", metavar="ENGINE", help="of NAME: the deployment for this engine (default: its first)")
    shared.as_json(parser)


def _ours() -> Path:
    return Path(__file__).parents[1] / "catalog"


def run(args: argparse.Namespace) -> int:
    from deployer.app import catalog

    _no_idle_options(args)
    found = catalog.entries(folder(args))
    wanted = catalog.of_kind(found, args.kind) if args.name is None else [catalog.one(found, args.name)]
    if args.fits:
        return _fits(args, wanted)
    if args.name is not None:
        _emit(wanted[0], args) if args.json else _whole(wanted[0], args.engine)
        return 0
    if args.json:
        console.emit({"models": [_json(shelf) for shelf in wanted]})
    else:
        console.out(console.table([_HEAD, *(_row(shelf) for shelf in wanted)]))
    return 0


def _no_idle_options(args: argparse.Namespace) -> None:
    """Raises UsageError for an option that would change nothing."""
    if args.engine and (args.name is None or args.fits):
        hint = "deployer models NAME --engine ENGINE; deployer fit NAME --engine ENGINE asks the hosts"
        raise UsageError("--engine is of the deployment that NAME alone shows", hint=hint)
    if args.kind and args.name is not None:
        raise UsageError(f"--kind narrows the list, and {args.name} is one entry", hint=f"deployer models {args.name}")


_HEAD = ("NAME", "KIND", "PARAMETERS", "CONTEXT", "LICENCE", "ENGINES")


def _row(shelf: "Shelved") -> tuple[str, ...]:
    entry = shelf.entry
    size = f"{entry.parameters or '–'}{f' ({entry.active} active)' if entry.active else ''}"
    context = str(entry.context) if entry.context else "–"
    licence = f"{entry.license or '–'}{' (gated)' if entry.gated else ''}"
    return (entry.name, entry.kind, size, context, licence, ", ".join(entry.engines))


def _fits(args: argparse.Namespace, wanted: "Sequence[Shelved]") -> int:
    from deployer.app.catalogfits import surveys, ways
    from deployer.app.locking import existing_lock

    with open_fleet(args) as fleet:
        fleet.known(hosts=args.fits)
        observed = fleet.probe(args.fits)
        locked, hosts = existing_lock(fleet.root), fleet.spec.hosts
    found = list(surveys(wanted, locked, observed, hosts))
    silent = found[0][1].silent if found else {}
    if args.json:
        models = [{**_json(one), "ways": [way.json() for way in ways(one, said)]} for one, said in found]
        console.emit({"models": models, "unreachable": dict(silent)})
    else:
        _table(found)
        for host, why in silent.items():
            console.say(f"? {host}  {why}")
    return 6 if silent else 0


def _table(found: "Sequence[tuple[Shelved, Survey]]") -> None:
    """Those that some host could serve, and those of which only the weights are known to fit. Of the others, how many."""
    from deployer.app import catalog
    from deployer.app.catalogfits import ways
    from deployer.app.fitting import device

    marks = {"fits": "✓", "tight": "≈"} if console.unicode() else {}
    rows: list[tuple[str, ...]] = [("", *_HEAD[:4], "HOST", "ENGINE", "ON")]
    counts = dict.fromkeys(("fit", "weights", "no", "unknown"), 0)
    for shelf, survey in found:
        said = "no"
        for way in ways(shelf, survey):
            alone = catalog.weights_alone(survey.model, way)
            if way.serves or alone:
                mark, where = (marks.get(way.verdict, way.verdict), device(way)) if way.serves else ("?", device(way, alone))
                rows.append((mark, *_row(shelf)[:4], way.host, way.engine, where))
            said = "fit" if way.serves or said == "fit" else "weights" if alone else way.verdict if said == "no" else said
        counts[said] += 1
    if len(rows) > 1:
        console.out(console.table(rows))
    console.say(f"{counts['fit']} of {len(found)} fit, {counts['no']} do not")
    if counts["weights"]:
        console.say(f"? {counts['weights']} whose weights fit; how much goes beside them is known once deployer.lock has them")
    if counts["unknown"]:
        console.say(
            f"{counts['unknown']} are not computed: the catalogue or the engine says too little; deployer fit ORG/NAME asks"
        )


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
