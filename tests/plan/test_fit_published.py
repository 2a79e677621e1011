"""docs/fit-cases.md: what engines published of their memory against what a fit computes; `python -m` of this module writes it."""

from collections.abc import Iterator
from pathlib import Path

from deployer.plan.fit import GIB, answer, longest
from deployer.plan.fit.cache import pool, requests
from tests.plan.test_fit import CASES, OVERHEADS, Case, ask

PAGE = Path(__file__).parents[2] / "docs/fit-cases.md"
HEAD = """\
# Fits against what was published

What people's logs said, what a fit computes for the same model, settings and GPU, and the difference. Written by
`python -m tests.plan.test_fit_published` from the cases of `tests/plan/test_fit.py`, which hold these figures. Weights in GiB of
one GPU; tokens and full requests at once in the cache that the engine had.

"""
Row = tuple[str, str, str, str, float, float]


def rows() -> Iterator[Row]:
    """(case, source, what, unit, theirs, ours)."""
    for name, case in CASES.items():
        yield from _of(name, case)
    for source, left, question in OVERHEADS:
        found = answer(question)
        said, ours = found.usable - found.overhead.total, found.usable - left * GIB
        yield f"room beside the overhead of {question.gpu.name}", source, "usable - overhead", "GiB", ours / GIB, said / GIB


def _of(name: str, case: Case) -> Iterator[Row]:
    question = ask(case.facts, **case.said)
    if case.weights is not None:
        yield name, case.source, "weights", "GiB", case.weights, answer(question).weights / GIB
    if case.request is not None:
        yield name, case.source, "a full request", "GiB", case.request, answer(question).request / GIB
    if case.pool is None:
        return
    room = round(case.pool * GIB)
    at_once = float(requests(question, pool(question), room))
    if case.tokens is not None:
        yield name, case.source, "tokens", "", case.tokens, at_once * (question.context or 0)
    if case.concurrency is not None:
        yield name, case.source, "requests at once", "", case.concurrency, at_once
    if case.longest is not None:
        yield name, case.source, "longest request", "", case.longest, longest(question, room)


def off(row: Row) -> float:
    return row[5] / row[4] - 1


def page() -> str:
    lines = ["| case | source | figure | theirs | ours | off |", "|---|---|---|---|---|---|"]
    for row in rows():
        name, source, what, unit, theirs, ours = row
        theirs_said, ours_said = (f"{n:.2f} {unit}".strip() if n < 10_000 else f"{n:.0f}" for n in (theirs, ours))
        lines.append(f"| {name} | {source} | {what} | {theirs_said} | {ours_said} | {100 * off(row):+.2f} % |")
    return HEAD + "\n".join(lines) + "\n"


def test_the_page_is_what_the_cases_say() -> None:
    assert PAGE.read_text() == page()


def test_all_are_within_five_per_cent_and_weights_within_one() -> None:
    every = list(rows())
    assert len({row[1] for row in every}) >= 12
    assert all(abs(off(row)) < 0.05 for row in every)
    assert [row[0] for row in every if row[2] == "weights" and abs(off(row)) >= 0.01] == []


if __name__ == "__main__":
    PAGE.write_text(page())
