"""The machine itself: its clock, its systemd, and what a reboot would bring or must bring. Called by preflight."""

from collections.abc import Iterator
from dataclasses import replace

from deployer.plan import guard
from deployer.plan.model import Finding
from deployer.plan.preflight import disk
from deployer.plan.preflight.finding import REFUSE, WARN, of_refusal
from deployer.plan.words import duration
from deployer.plan.world import World
from deployer.state.observed import Reached

CLOCK_S = 30.0
#: LoadCredential, by which engines get their arguments and keys, is as old.
SYSTEMD = 247


def findings(world: World, reached: Reached, *, starts_on_gpus: bool) -> Iterator[Finding]:
    name, source = reached.name, world.positions.of(f"host:{reached.name}", "address")
    own = (*_clock(reached), *_systemd(reached), *_kernel(reached), *disk.low(reached))
    for one in (*own, *_driver(reached, starts_on_gpus=starts_on_gpus)):
        yield Finding(*one, host=name, source=source)


def silent(world: World, reached: Reached, *, uses_gpus: bool) -> Iterator[Finding]:
    """For the doctor; a plan refuses to start on such GPUs (guard). A host of which nobody wants a GPU may have none."""
    for said in guard.silent_driver(world, reached):
        yield replace(of_refusal(said), severity=REFUSE if uses_gpus else WARN)


_Said = tuple[str, str, str, str, str]  # id, severity, what, why, do


def _clock(reached: Reached) -> Iterator[_Said]:
    off = reached.clock_s
    if off is not None and abs(off) >= CLOCK_S:
        way = "ahead of" if off > 0 else "behind"
        what = f"the clock of {reached.name} is {duration(abs(off))} {way} this machine's"
        why = "certificates and tokens are judged by it, holds end by it, and logs of several hosts do not go together"
        yield "clock", WARN, what, why, f"on {reached.name}: timedatectl set-ntp true, then timedatectl to see it"


def _systemd(reached: Reached) -> Iterator[_Said]:
    there = reached.probe.get("systemd", 0)
    if 0 < there < SYSTEMD:
        what = f"{reached.name} has systemd {there}; {SYSTEMD} or newer is wanted"
        why = "engines get their arguments and keys by LoadCredential, which an older one does not know"
        yield "systemd", REFUSE, what, why, "a newer release of its operating system"


def _driver(reached: Reached, *, starts_on_gpus: bool) -> Iterator[_Said]:
    """The library was updated and the module still is the old one: processes that run go on, new ones fail."""
    boot = reached.probe.get("boot", {})
    loaded, installed = boot.get("nvidia_loaded"), boot.get("nvidia_installed")
    if loaded and installed and loaded != installed:
        what = f"the NVIDIA driver of {reached.name} was updated to {installed} and {loaded} is still loaded{_since(reached)}"
        why = "processes that run go on, and every new one on a GPU fails with “Driver/library version mismatch”"
        do = f"reboot it: deployer hosts drain {reached.name} first where its replicas fit elsewhere"
        yield "reboot", REFUSE if starts_on_gpus else WARN, what, why, do


def _kernel(reached: Reached) -> Iterator[_Said]:
    boot, running = reached.probe.get("boot", {}), reached.probe.get("kernel", "")
    newest = boot.get("kernel_newest")
    if boot.get("kernel_gone"):
        what = f"the modules of the kernel that {reached.name} runs ({running}) were removed{_since(reached)}"
        why = "what is not loaded yet cannot be loaded any more: a file system, a network driver, the GPUs' after a reset"
        yield "reboot", WARN, what, why, f"reboot it when it suits; {newest or 'another kernel'} is installed"
    if newest and newest != running and boot.get("nvidia_loaded") and boot.get("nvidia_module") is False:
        what = f"{reached.name} boots kernel {newest} next, and that one has no NVIDIA module"
        why = "after the next reboot it has no GPUs, and nothing that stands on them comes back"
        do = f"install the headers of {newest}, so that DKMS builds it (dkms status), or keep the kernel {running}"
        yield "reboot", WARN, what, why, do


def _since(reached: Reached) -> str:
    seconds = reached.probe.get("boot", {}).get("uptime_s")
    return f" (last reboot {duration(seconds)} ago)" if seconds is not None else ""
