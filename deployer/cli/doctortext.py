"""What the doctor found, for people: host by host, worst first, the summary last. Called by cli.doctor."""

from deployer.app.doctor import Examined
from deployer.plan.text import Style, finding_text
from deployer.plan.words import count
from deployer.state.observed import Unreached


def text(found: Examined, fleet: str, *, color: bool, unicode: bool) -> str:
    style = Style(color, unicode)
    reached = len(found.observed) - len(found.unreachable)
    dot = f" {style.symbol('dot')} "
    blocks = [style.bold(f"fleet {fleet}{dot}{reached} of {count(len(found.observed), 'host')} answered")]
    named = [f for f in found.findings if f.host is None]
    if named:
        blocks.append("\n".join([style.bold("the fleet"), *(finding_text(f, style) for f in named)]))
    blocks += [_host(found, name, style) for name in sorted({*found.observed, *(f.host for f in found.findings if f.host)})]
    return "\n\n".join([*blocks, _tail(found, dot)]) + "\n"


def _host(found: Examined, name: str, style: Style) -> str:
    host = found.observed.get(name)
    lines = [finding_text(f, style) for f in found.findings if f.host == name]
    if isinstance(host, Unreached):
        hint = [f"       do: {host.hint}"] if host.hint else []
        lines = [f"  {style.paint(style.symbol('unknown'), 'unknown')}  unreachable: {host.message}", *hint, *lines]
    return "\n".join([style.bold(name), *(lines or ["  nothing found"]), *_ways(found, name, style)])


def _ways(found: Examined, name: str, style: Style) -> list[str]:
    """The addresses that answered; what did not is a finding."""
    told = {answer["id"]: answer for answer in found.answers.get(name, ())}
    fine = [
        f"{way.kind} {way.shown}{f' ({way.about})' if way.about else ''} {told[way.id]['ms']} ms"
        for way in found.asked.get(name, ())
        if way.id in told and told[way.id]["state"] == "ok"
    ]
    return [f"  {style.symbol('dot')}  reaches {', '.join(fine)}"] if fine else []


def _tail(found: Examined, dot: str) -> str:
    warned = len(found.findings) - found.refused
    parts = [f"{count(found.refused, 'finding')} that an apply would be refused for"] if found.refused else []
    parts += [count(warned, "warning")] if warned else []
    parts += [f"{count(len(found.unreachable), 'host')} unreachable"] if found.unreachable else []
    return dot.join(parts) or "Nothing found."
