"""`deployer models`: the catalogue: what is in it, what of it a host could serve, one entry whole with a deployment to paste."""

import argparse
import os
from collections.abc import Mapping, Sequence
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
    """Those that some host could serve, also those that need shorter requests, and those of which only the weights are known to
    fit. Of those that fit nowhere, how many; of those that nobody knows, which and why.
    """
    from deployer.app.catalogfits import HOWS, best, stands

    rows: list[tuple[str, ...]] = [("", *_HEAD[:4], "HOST", "ENGINE", "ON")]
    by_how: dict[str, list[tuple[Shelved, Survey]]] = {how: [] for how in HOWS}
    for shelf, survey in found:
        every = stands(shelf, survey)
        by_how[best(every)].append((shelf, survey))
        for one in every:
            if one.how in ("fit", "shorter", "weights"):
                rows.append((_mark(one.how, one.way.verdict), *_row(shelf)[:4], one.way.host, one.way.engine, one.where))
    if len(rows) > 1:
        console.out(console.table(rows))
    _totals({how: len(those) for how, those in by_how.items()})
    for lacks, names in _unknown(by_how["unknown"]).items():
        console.say(f"  {lacks}: {', '.join(names)}")


_MARKS = {"fits": "✓", "tight": "≈", "shorter": "↓", "weights": "?"}


def _mark(how: str, verdict: str) -> str:
    key = verdict if how == "fit" else how
    return _MARKS[key] if console.unicode() else key


def _totals(counts: "Mapping[str, int]") -> None:
    """Together they are all that were asked about."""
    said = [f"{counts['fit']} of {sum(counts.values())} fit"]
    said += [f"{counts['shorter']} more with shorter requests"] if counts["shorter"] else []
    said += [f"{counts['no']} do not"]
    said += [f"of {counts['weights']} only the weights are known to"] if counts["weights"] else []
    said += [f"{counts['unknown']} not computed"] if counts["unknown"] else []
    console.say(", ".join(said))
    if counts["shorter"]:
        console.say(f"{_mark('shorter', '')} with max_model_len, the longest requests that fit")
    if counts["weights"]:
        console.say(f"{_mark('weights', '')} how much goes beside the weights is known once deployer.lock has its layers")
    if counts["unknown"]:
        from deployer.app.catalogfits import known_by

        console.say(f"not computed: {known_by('ORG/NAME')}")


def _unknown(found: "Sequence[tuple[Shelved, Survey]]") -> dict[str, list[str]]:
    """What is lacking → of which entries."""
    from deployer.app.catalogfits import lacking

    lacks: dict[str, list[str]] = {}
    for shelf, survey in found:
        word, sentence = lacking(shelf, survey)
        lacks.setdefault(word if word != "not computed" else sentence, []).append(shelf.entry.name)
    return lacks


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
