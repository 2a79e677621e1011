"""`deployer fit MODEL`: which of the hosts could serve a model, how, and what would where it does not. Asks; touches nothing."""

import argparse
from typing import TYPE_CHECKING, Any

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet

if TYPE_CHECKING:
    from deployer.app.fitting import Survey, Way
    from deployer.app.whichmodel import Which

EXAMPLES = (
    "deployer fit meta-llama/Llama-3.1-8B-Instruct --context 32768",
    "deployer fit models/tiny-chat --host gpu-01 --explain",
    "deployer fit chat --quantization fp8 --json",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a deployment, a name of the catalogue, ORG/NAME, a folder with config.json, or a GGUF file",
    )
    parser.add_argument("--file", metavar="FILE", help="one GGUF file of the folder or repository")
    parser.add_argument("--context", type=_tokens, metavar="TOKENS", help="of prompt and answer (default: the model's own)")
    parser.add_argument("--quantization", metavar="TYPE", help="as the engine names it: fp8, int8, bnb-4bit")
    parser.add_argument("--tensor-parallel", type=_tokens, metavar="N", help="GPUs that share each layer (default: as few as do)")
    parser.add_argument("--engine", metavar="ENGINE", help="only this one (default: every engine that reads the model)")
    parser.add_argument("--host", action="append", default=[], metavar="HOST", help="only this host (default: all)")
    parser.add_argument("--explain", action="store_true", help="every term of each way")
    shared.as_json(parser)


def _tokens(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 40:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on is wanted, not {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    from deployer.app.fitting import Wish, survey
    from deployer.app.whichmodel import which_model

    with open_fleet(args) as fleet:
        fleet.known(hosts=args.host)
        which = which_model(fleet, args.model, args.file)
        engine = args.engine or (which.base.engine.name if which.base else None)
        wish = Wish(engine, args.context, args.quantization, args.tensor_parallel, which.base, which.rank, which.settings)
        observed = fleet.probe(args.host) if fleet.spec.hosts else {}
        found = survey(which.model, wish, observed, fleet.spec.hosts)
    if args.json:
        console.emit(_json(which, found))
    else:
        _show(which, found, explain=args.explain)
    return exit_code(found)


def exit_code(found: "Survey") -> int:
    """0: some host can. 1: nobody can tell, for one way at least. 6: none of those that answered, and others are silent. 4: none
    can.
    """
    if found.serves:
        return 0
    if found.unknown:
        return 1
    return 6 if found.left_open else 4


def _show(which: "Which", found: "Survey", *, explain: bool) -> None:
    from deployer.app.fitting import device, occupied
    from deployer.plan import fit

    console.out(_about(which))
    if found.ways:
        _table(found)
    for way in found.ways if explain else ():
        if way.answer is not None:
            console.out(f"\n{way.host} {way.engine}{_settings(way)} on {device(way)}")
            console.out("\n".join(f"    {line}" for line in fit.explain(way.answer, way.converting)))
    for engine, why in found.unread.items():
        console.say(f"{engine} does not serve it: {why}")
    for host, why in found.silent.items():
        console.say(f"? {host}  {why}")
    if not found.ways and not found.silent:
        console.say("no hosts to ask: write hosts/NAME.yaml" if not found.unread else "no engine reads this model")
    elif found.serves:
        best = next((way for way in found.ways if way.room), None) or next(way for way in found.ways if way.serves)
        full = occupied(best)
        later = f"; {full}" if full else ""
        console.say(f"could serve it: {best.host}, engine: {{{best.engine}: {{{_settings(best).strip()}}}}}{later}")
    elif found.unknown:
        console.say("not known: whether it is served, only a start tells")


def _about(which: "Which") -> str:
    from deployer.plan.words import size

    model = which.model
    version = (model.commit or "")[:7]
    about = [
        model.facts.model_type or "architecture not said",
        f"files of {size(model.bytes)}" if model.bytes else "size not said",
    ]
    if model.facts.quantization:
        about.append(model.facts.quantization)
    about.append(f"context {model.facts.context}" if model.facts.context else "context not said")
    return f"{model.name}{' ' + version if version else ''}  {', '.join(about)}  (from {which.whence})"


def _table(found: "Survey") -> None:
    """A row for each way; below one that does not serve, why and what would fit."""
    from deployer.app.fitting import device, occupied
    from deployer.plan.fit import gib

    marks = {"fits": "✓", "tight": "≈", "unknown": "?", "no": "✗"} if console.unicode() else {}
    rows: list[tuple[str, ...]] = [("", "HOST", "ENGINE", "ON", "CONTEXT", "AT ONCE", "GIB", "SETTINGS")]
    notes: list[list[str]] = []
    for way in found.ways:
        answer = way.answer if way.answer is not None and way.answer.unknown is None else None
        figures = ("–", "–", "–")
        if answer is not None:
            at_once = f"{float(answer.requests):.1f}" if way.serves else "–"
            figures = (str(answer.question.context), at_once, f"{gib(answer.total)} of {gib(answer.usable)}")
        rows.append((marks.get(way.verdict, way.verdict), way.host, way.engine, device(way), *figures, _settings(way).strip()))
        said = [] if way.serves else [way.what, *([f"would fit: {way.would}"] if way.would else [])]
        tight = ["tight: only a start tells"] if way.verdict == "tight" else []
        notes.append([note for note in (*said, *tight, occupied(way)) if note])
    head, *lines = console.table(rows).splitlines()
    console.out(head)
    for line, more in zip(lines, notes, strict=True):
        console.out("\n".join((line, *(f"     {note}" for note in more))))


def _settings(way: "Way") -> str:
    shown = {name: value for name, value in way.settings.items() if value not in ((), {}, None)}
    return " " + ", ".join(f"{name}: {value}" for name, value in shown.items()) if shown else ""


def _json(which: "Which", found: "Survey") -> dict[str, Any]:
    model = which.model
    return {
        "model": {
            "key": model.key,
            "name": model.name,
            "commit": model.commit,
            "from": which.whence,
            "bytes": model.bytes,
            "model_type": model.facts.model_type,
            "quantization": model.facts.quantization,
            "context": model.facts.context,
        },
        "serves": found.serves,
        "ways": [_way_json(way) for way in found.ways],
        "unread": dict(found.unread),
        "unreachable": dict(found.silent),
    }


def _way_json(way: "Way") -> dict[str, Any]:
    answer = way.answer if way.answer is not None and way.answer.unknown is None else None
    return {**way.json(), "terms": answer.json() if answer is not None else None}
