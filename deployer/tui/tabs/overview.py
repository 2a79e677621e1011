"""Overview: how the deployment is, what serves, its replicas, its last failure, and who did not answer."""

from collections.abc import Iterator

from textual.app import ComposeResult

from deployer.app.advice import place_of_hint
from deployer.app.dossier import Dossier
from deployer.app.times import ago
from deployer.app.values import DeploymentState, ReplicaState
from deployer.plan import costs
from deployer.tui import holding
from deployer.tui.glyphs import STATE_ROLES
from deployer.tui.line import Line, Span, clean, columns, line
from deployer.tui.servinglines import adapter_lines, applied_facts, computes_facts, start_line
from deployer.tui.tabs.tab import Tab, facts, folded
from deployer.tui.widgets.rowlist import Row, RowList

#: Lines of a failure's log that stand here; the tab of logs has all.
LOG_LINES = 8


class Overview(Tab):
    KEY = "i"
    NAME = "Overview"

    def compose(self) -> ComposeResult:
        yield RowList(empty="asking the hosts …", classes="-quiet")

    def __init__(self) -> None:
        super().__init__()
        self._seen: tuple[int, int] | None = None

    def look(self) -> None:
        """Ages grow by themselves, once a second."""
        seen = (self.main.now.tick, int(self.main.clock()))
        if seen != self._seen:
            self._seen = seen
            self.draw()

    def opened(self) -> None:
        self.draw()

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        """Enter on a replica: its log."""
        message.stop()
        if message.row.key.startswith("replica "):
            self.place.open_log(message.row.key.split()[1])

    def draw(self) -> None:
        state, dossier = self.place.state, self.dossier
        rows = self.query_one(RowList)
        if dossier is None and state is None:
            return
        drawn = [Row(key, spans) for key, spans in self._lines(state, dossier)]
        if drawn != rows.rows:
            rows.show(drawn)

    def _lines(self, state: DeploymentState | None, dossier: Dossier | None) -> Iterator[tuple[str, Line]]:
        width = max(40, self.size.width - 2)
        number = 0
        for part in (
            self._head(state, dossier, width),
            self._replicas(state, width),
            ((("", one) for one in adapter_lines(dossier.adapters)) if dossier is not None else ()),
            self._failure(state, width),
            self._silent(),
        ):
            lines = list(part)
            if lines and number:
                yield f"gap {number}", ()
            for key, spans in lines:
                number += 1
                yield key or f"line {number}", spans

    def _head(self, state: DeploymentState | None, dossier: Dossier | None, width: int) -> Iterator[tuple[str, Line]]:
        if state is None:
            for one in folded(f"no file and no host that answered knows {self.place.deployment}", width, role="warn"):
                yield "", one
            return
        yield "", facts("state", *self._state(state))
        yield from self._advice(state, dossier, width)
        if state.canary:
            yield from _told("canary", holding.text(holding.canary(self.place.deployment, state.canary)), width, "accent")
            name = self.place.deployment
            typed = f"deployer promote {name}, or deployer revert {name}"
            how = "P plans that all become what it is, B that it goes and the others are held"
            yield from _told("", typed if self.main.session.read_only else how, width)
        if state.hold:
            yield from _told("hold", holding.text(holding.in_words(state.hold)), width, "warn")
            yield from _told("", self._way_out(str(state.hold.get("kind"))), width)
        if state.endpoint:
            keys = dossier is not None and dossier.endpoint is not None and dossier.endpoint.keys
            yield "", facts("endpoint", state.endpoint, ("  a key is needed" if keys else "", "dim"))
        if dossier is not None:
            yield from self._serves(dossier)
            for label, said in computes_facts(dossier):
                yield from _told(label, said, width)
        if state.cost:
            yield "", facts("cost", f"{costs.words(state.cost)} a month")
        if state.tags:
            yield "", facts("tags", clean(", ".join(state.tags)))
        description = dossier.spec.description if dossier and dossier.spec else None
        yield from _told("description", description or "", width)

    def _way_out(self, kind: str) -> str:
        """How the hold ends."""
        if self.main.session.read_only:
            return f"to lift it: deployer apply --release {self.place.deployment}"
        if kind == "rolled-back":
            return "U plans its release: what the files say counts again; when they say the same as that revision it ends too"
        return "s plans its start"

    def _advice(self, state: DeploymentState, dossier: Dossier | None, width: int) -> Iterator[tuple[str, Line]]:
        """Why it is as it is, and what to do."""
        yield from _told("", state.reason or "", width)
        if dossier is not None and state.revision is None and not dossier.silent:
            yield (
                "",
                facts(
                    "next",
                    "it was never applied: ",
                    (self.main.key_of("plan"), "bold"),
                    " plans it, and shows what would be done",
                ),
            )
        if state.orphan:
            said = "it is in no file any more: X plans to remove it; a file deployments/NAME.yaml would keep it"
            yield from _told("orphan", said, width, "warn")

    def _state(self, state: DeploymentState) -> list[Span]:
        glyphs = self.main.glyphs
        role = STATE_ROLES.get(state.state, "")
        up = sum(1 for replica in state.replicas if replica.state == "deployed")
        found: list[Span] = [(f"{glyphs.states.get(state.state, '?')} {state.state}", f"bold {role}".strip())]
        found.append((f"  {up}/{len(state.replicas)} replicas", ""))
        newest = next((one for one in self.dossier.revisions if one.current), None) if self.dossier else None
        if state.revision is not None:
            more = f", {ago(newest.at)} by {clean(str(newest.who or '?'))}" if newest is not None else ""
            found.append((f"  revision {state.revision}{more}", ""))
        return found

    def _serves(self, dossier: Dossier) -> Iterator[tuple[str, Line]]:
        """Engine and model as they were applied: not what the files say now."""
        seen: set[str] = set()
        for resource in dossier.serving:
            values = {a.name: a.value for a in resource.attributes}
            version, model = values.get("version"), str(values.get("model") or "")
            name, _, commit = model.rpartition("/")
            named = f"{name.replace('--', '/')} {commit[:12]}" if name else model
            said = clean(f"{values.get('engine')}{f' {version}' if version else ''} with {named}{applied_facts(values)}")
            if said not in seen:
                seen.add(said)
                yield "", facts("" if len(seen) > 1 else "serves", said)

    def _replicas(self, state: DeploymentState | None, width: int) -> Iterator[tuple[str, Line]]:
        if state is None or not state.replicas:
            return
        wide = width >= 96
        unit = [(line(("UNIT", "bold dim")), 44)] if wide else []
        heads = [("#", -3), ("STATE", 13), ("HOST", 14), ("PORT", 6), ("GPUS", 10), ("SINCE", 12)]
        yield "", columns([*((line((text, "bold dim")), size) for text, size in heads), *unit])
        for replica in state.replicas:
            yield from self._replica(replica, wide, width)

    def _replica(self, replica: ReplicaState, wide: bool, width: int) -> Iterator[tuple[str, Line]]:
        mark, role = self.main.glyphs.states.get(replica.state, "?"), STATE_ROLES.get(replica.state, "")
        name = f"{self.place.deployment}/{replica.slot}"
        dash = self.main.glyphs.dash
        phase = getattr(self.main.now.figures.get(name), "phase", None)
        for number, unit in enumerate(replica.units or (None,)):
            first = number == 0
            gpus = (self._gpus(unit.gpus) if unit else "") or dash
            cells: list[tuple[Line, int]] = [
                (line(str(replica.slot) if first else ""), -3),
                (line((f"{mark} {replica.state}" if first else "", role)), 13),
                (line(unit.host if unit else dash), 14),
                (line(str(unit.port) if unit else dash), 6),
                (line(gpus), 10),
                (line(ago(replica.since) if replica.since else dash), 12),
            ]
            if wide:
                cells.append((line((unit.unit if unit else "", "dim")), 44))
            yield f"replica {name} {number}", columns(cells)
        phase = phase or replica.phase
        reason = replica.reason or (start_line(phase, replica.since, replica.expected_s, self.main.glyphs) if phase else None)
        for number, one in enumerate(folded(reason, width, 5) if reason else ()):
            yield f"reason {name} {number}", one

    def _gpus(self, uuids: tuple[str, ...]) -> str:
        known = self.dossier.gpus if self.dossier else {}
        return ",".join(str(known[one]) if one in known else one[:8] for one in uuids)

    def _failure(self, state: DeploymentState | None, width: int) -> Iterator[tuple[str, Line]]:
        failure = state.failure if state is not None else None
        if not failure:
            return
        where = f"  {failure.get('host')}, {ago(failure.get('at'))}, revision {failure.get('revision')}"
        yield "", line(("LAST FAILURE", "bold dim"), where)
        yield from _told("cause", str(failure.get("cause") or "not known; the log may say it"), width, "bad")
        hint = str(failure.get("hint") or "")
        place = place_of_hint(self.main.session.fleet.loaded, self.place.deployment, hint)
        yield from _told("next", f"{place}  {hint}" if place else hint, width)
        log = failure.get("log") or ()
        lines = [str(one) for one in log] if isinstance(log, (list, tuple)) else str(log).splitlines()
        for number, text in enumerate(lines[:LOG_LINES]):
            yield "", facts("" if number else "log", (clean(text), "dim"))
        if len(lines) > LOG_LINES:
            yield "", facts("", (f"{len(lines) - LOG_LINES} more lines: deployer logs {self.place.deployment} --failure", "dim"))

    def _silent(self) -> Iterator[tuple[str, Line]]:
        """Hosts that are not heard now; where nothing is heard all the time, those that did not answer."""
        hosts = self.main.now.hosts
        silent = [(one.name, one.message, one.hint) for one in (self.dossier.silent if self.dossier else ())]
        if hosts:
            away = [one for _, one in sorted(hosts.items()) if one.state in ("lost", "unreachable")]
            silent = [(one.name, one.error or one.state, one.hint) for one in away]
        if silent:
            yield "", line(("NOT HEARD", "bold dim"), "  what stands there now is not known")
        for name, message, hint in silent:
            yield "", line((f"{name:<12}", "warn"), clean(message), (f"  {clean(hint or '')}", "dim"))


def _told(label: str, text: str, width: int, role: str = "") -> Iterator[tuple[str, Line]]:
    """A long text beside its word; nothing when there is none."""
    for number, one in enumerate(folded(text, width - 12, role=role) if text else ()):
        yield "", facts("" if number else label, one[1])
