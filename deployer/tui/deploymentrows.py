"""Deployments as rows: how each is, what it does, where. Pure drawing of values. Used by the fleet's place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deployer.app.looking import Figures, HostNow
from deployer.app.times import ago, starting
from deployer.app.values import DeploymentState, ReplicaState
from deployer.plan import costs
from deployer.tui.glyphs import STATE_ROLES, Glyphs
from deployer.tui.grid import Column, Fitted, fit, heading, lay, width_at
from deployer.tui.line import Line, line, text_of
from deployer.tui.meters import load_role, meter
from deployer.tui.widgets.rows import Entry, Row

#: The state of one whose hosts have not answered yet.
ASKING = "asking"


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a row says, so that equal values need no new row. `where`: said with host names and GPU numbers; `hold`:
    with how long it has been; `start`: how far the replica is that starts.
    """

    state: DeploymentState
    figures: Figures
    where: str
    hold: str
    engine: str = ""
    start: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """A line below its deployment."""

    role: str
    text: str


def columns_for(names: Iterable[str], width: int, *, priced: bool = False) -> Fitted:
    """`priced`: any of them costs something."""
    name = min(24, max((len(one) for one in names), default=4))
    cost = [Column("cost", "A MONTH", 9, 12, 10, right=True)] if priced else []
    return fit(
        [
            Column("name", "DEPLOYMENT", max(10, min(name, 14)), max(10, name), 0),
            Column("state", "STATE", 13, 13, 1),
            Column("rev", "REV", 3, 4, 9, right=True),
            Column("replicas", "REPL", 5, 5, 2, right=True),
            Column("requests", "REQ/S", 6, 7, 4, right=True),
            Column("ttft", "TTFT p95", 8, 8, 5, right=True),
            Column("tokens", "TOK/S", 7, 7, 8, right=True),
            Column("meter", "KV CACHE", 8, 10, 11),
            Column("kv", "KV", 4, 4, 7, right=True),
            Column("queue", "QUEUE", 5, 5, 6, right=True),
            Column("engine", "ENGINE", 11, 12, 12),
            *cost,
            Column("where", "WHERE", 20, 120, 3),
        ],
        width,
    )


def head(fitted: Fitted) -> Row:
    return Row("", heading(fitted))


def entries(
    deployments: Iterable[DeploymentState],
    figures: Mapping[str, Figures],
    hosts: Mapping[str, HostNow],
    engines: Mapping[str, str] | None = None,
) -> list[Entry]:
    """`engines`: by deployment, as the files say it."""
    numbers = {gpu.sample.uuid: gpu.sample.index for host in hosts.values() for gpu in host.gpus}
    found: list[Entry] = []
    for one in deployments:
        own = figures.get(one.name) or Figures()
        engine = (engines or {}).get(one.name, "")
        shown = Shown(one, own, _places(one.replicas, numbers), _hold(one), engine, _start(one, own))
        found.append((one.name, shown))
        found += [(f"{one.name}\n{n}", reason) for n, reason in enumerate(_reasons(one))]
    return found


def _hold(one: DeploymentState) -> str:
    if not one.hold:
        return ""
    why = f" ({one.hold['why']})" if one.hold.get("why") else ""
    to = f" to revision {one.hold['revision']}" if one.hold.get("revision") else ""
    return f"{one.hold['kind']}{to} by {one.hold['who']}, {ago(one.hold['at'])}{why}"


def _start(one: DeploymentState, figures: Figures) -> str:
    """Of the replica that starts, with the time that starts took before."""
    if not figures.phase or one.state in ("deployed", "stopped"):
        return ""
    which = next((r for r in one.replicas if r.state == "starting"), None)
    return starting(figures.phase, which.since if which else None, which.expected_s if which else None)


def _reasons(one: DeploymentState) -> list[Reason]:
    found = []
    if one.state in ("failed", "degraded"):
        reason = one.reason or next((replica.reason for replica in one.replicas if replica.reason), None)
        found.append(Reason("bad" if one.state == "failed" else "warn", reason or "its replicas do not all answer"))
    if one.failure:
        cause = one.failure.get("cause") or "see its logs"
        found.append(Reason("warn", f"the last apply failed {ago(one.failure.get('at'))}: {cause}"))
    return found


def draw(entry: Entry, fitted: Fitted, glyphs: Glyphs) -> Row:
    key, value = entry
    if isinstance(value, Reason):
        sign = glyphs.bad if value.role == "bad" else glyphs.warn
        return Row(key, line(f"  {sign} ", (value.text, value.role)), note=True)
    assert isinstance(value, Shown)
    one, figures = value.state, value.figures
    running = sum(1 for replica in one.replicas if replica.state == "deployed")
    dim = one.state in ("stopped", "pending", ASKING)
    cells: dict[str, Line] = {
        "name": line((one.name, "dim" if dim else "bold")),
        "state": state_cell(one.state, glyphs),
        "rev": _number(one.revision, "{:d}", glyphs),
        "replicas": line((f"{running}/{len(one.replicas)}", "" if running == len(one.replicas) else "warn")),
        "requests": _number(figures.requests_s, "{:.1f}", glyphs),
        "ttft": _number(None if figures.ttft_p95_s is None else figures.ttft_p95_s * 1000, "{:.0f} ms", glyphs),
        "tokens": _number(figures.tokens_s, "{:.0f}", glyphs),
        "meter": meter(figures.kv_cache, width_at(fitted, "meter"), glyphs),
        "kv": _share(figures.kv_cache, glyphs),
        "queue": _number(figures.queue, "{:d}", glyphs),
        "engine": line((value.engine or glyphs.dash, "dim")),
        "cost": line(costs.words(one.cost)) if one.cost else line((glyphs.dash, "dim")),
        "where": _where(value, glyphs),
    }
    return Row(key, lay(fitted, cells))


def state_cell(state: str, glyphs: Glyphs) -> Line:
    sign = glyphs.states.get("waiting" if state == ASKING else state, "?")
    return line((f"{sign} {state}", STATE_ROLES.get(state, "dim")))


def _number(value: float | None, form: str, glyphs: Glyphs) -> Line:
    return line((glyphs.dash, "dim")) if value is None else line(form.format(value))


def _share(value: float | None, glyphs: Glyphs) -> Line:
    if value is None:
        return line((glyphs.dash, "dim"))
    return line((f"{value * 100:.0f}%", load_role(value * 100, (0, 90))))


def _where(shown: Shown, glyphs: Glyphs) -> Line:
    one = shown.state
    if one.state == ASKING:
        return line((f"asking the hosts {glyphs.fold}", "dim"))
    found: list[str | tuple[str, str]] = []
    if one.orphan:
        found.append(("in no file  ", "warn"))
    if one.canary:
        found.append((f"canary {one.canary['share']} to {one.name}/{one.canary['slot']}  ", "accent"))
    if shown.hold:
        found.append((f"{shown.hold}  ", "warn"))
    if shown.start:
        found.append((f"{shown.start}  ", "accent"))
    found.append(shown.where)
    if one.state in ("pending", "starting", "unknown") and not shown.figures.phase:
        found.append((f"  {next((r.reason for r in one.replicas if r.reason), '')}", "dim"))
    return line(*found) if any(text_of(line(part)).strip() for part in found) else line((glyphs.dash, "dim"))


def _places(replicas: Sequence[ReplicaState], numbers: Mapping[str, int]) -> str:
    """ "gpu-01:0-3 gpu-02:0": hosts with the numbers of the GPUs."""
    found = []
    for replica in replicas:
        for unit in replica.units:
            known = sorted(numbers[uuid] for uuid in unit.gpus if uuid in numbers)
            found.append(f"{unit.host}:{_ranges(known)}" if known else unit.host)
    return " ".join(found)


def _ranges(numbers: Sequence[int]) -> str:
    """[0, 1, 2, 5] as "0-2,5"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in found)
