"""The terms of a replica's memory that its change carries, and their line. Put there by fitting; shown by text, Markdown and the
terminal UI. Light: who reads a saved plan needs none of the formulas.
"""

from deployer.plan.model import Change
from deployer.plan.words import count

#: In the data of a change: {"weights", "cache", "overhead", "usable", "requests", "fits", "source"}, bytes of one GPU, and
#: "refused" where it surely does not; or {"unknown"}. An estimate: no part of the plan's id.
FIT = "fit"
#: What the memory is made of, in the order in which it is said.
TERMS = ("weights", "cache", "overhead")
GIB = 1 << 30


def terms(change: Change) -> dict[str, int] | None:
    """Bytes by name, "usable" among them; None: nothing is known."""
    told = change.data.get(FIT)
    if not told or "unknown" in told:
        return None
    return {name: int(told[name]) for name in (*TERMS, "usable")}


def line(change: Change) -> str | None:
    """As "fits: weights 14.96 + cache 2.00 + overhead 3.15 = 20.11 of 73.60 GiB; 26 full requests at once (computed)"; of what
    does not fit the plan says more elsewhere.
    """
    told, known = change.data.get(FIT), terms(change)
    if known is None or not told:
        return None
    if stated(change):
        number = f"{total(known) / GIB:.2f} of {known['usable'] / GIB:.2f} GiB"
        return f"{misfit(change) or 'fits'}: {number}, as resources.gpu_memory states"
    added = " + ".join(f"{name} {known[name] / GIB:.2f}" for name in TERMS)
    said = f"{added} = {total(known) / GIB:.2f} of {known['usable'] / GIB:.2f} GiB"
    if not told["fits"]:
        return f"{misfit(change)}: {said} ({told['source']})"
    return f"fits: {said}; {count(int(told['requests']), 'full request')} at once ({told['source']})"


def misfit(change: Change) -> str | None:
    """ "does not fit" where the plan refuses it, "may not fit" where only a start tells; None: it fits, or it cannot be told."""
    told = change.data.get(FIT, {})
    return None if told.get("fits", True) else "does not fit" if told.get("refused") else "may not fit"


def stated(change: Change) -> bool:
    """One number that a person gave: of its parts, and of how many requests, nobody knows."""
    return bool(change.data.get(FIT, {}).get("source") == "stated")


def total(known: dict[str, int]) -> int:
    return sum(known[name] for name in TERMS)


def fits(change: Change) -> bool | None:
    """None: it cannot be told."""
    found = change.data.get(FIT, {}).get("fits")
    return None if found is None else bool(found)
