"""What the top line says of the fleet as a whole. Pure. Used by the fleet's place."""

from deployer.app.looking import FleetNow
from deployer.app.times import age
from deployer.plan import costs
from deployer.plan.words import count
from deployer.tui.fleetquery import summary
from deployer.tui.line import Span

#: Deployments that are counted: state, word, role. What needs a person is last: it is left out last.
_COUNTED = (
    ("starting", "starting", "accent"),
    ("deployed", "ok", "good"),
    ("degraded", "degraded", "warn"),
    ("failed", "failed", "bad"),
)


def notes(now: FleetNow, *, every_s: float, drift: int, paused_s: float | None) -> list[Span]:
    """The least important first: that is what a narrow line leaves out first. `every_s`: seconds between two samples."""
    found: list[Span] = []
    total = summary(now)
    idle = now.status.idle if now.status else None
    if idle is not None and idle.hosts:
        found.append((f" {count(sum(idle.hosts.values()), 'GPU')} idle, {costs.words(idle.cost)} a month ", "dim"))
    if total.age_s is not None:
        fresh = total.age_s < 2 + 2 * every_s
        found.append((" live ", "dim") if fresh else (f" {age(total.age_s)} ago ", "warn"))
    if total.gpus:
        found += [(f" mem {total.memory * 100:.0f}%", "")] if total.memory is not None else []
        found += [(f" util {total.utilization:.0f}%", "")] if total.utilization is not None else []
        found.append((f" {total.gpus} GPUs ", ""))
    for state, word, role in _COUNTED:
        if total.states.get(state):
            found.append((f" {total.states[state]} {word} ", role))
    if drift:
        found.append((f" drift {drift} ", "warn"))
    if paused_s is not None:
        found.append((f" || paused {age(paused_s)} ", "warn"))
    return found
