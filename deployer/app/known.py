"""Names that a person gave, held against those there are. Called by Fleet and by what plans for it."""

from collections.abc import Iterable, Sequence

from deployer.errors import UsageError


def known(kind: str, names: Iterable[str], everything: Sequence[str]) -> None:
    """Raises UsageError, with the nearest name there is. `kind`: "deployment", "host", "tag"."""
    for name in names:
        if name not in everything:
            import difflib

            close = difflib.get_close_matches(name, everything, 1)
            hint = f"did you mean {close[0]}?" if close else f"there is: {', '.join(everything) or 'nothing yet'}"
            raise UsageError(f"there is no {kind} {name} in this fleet", hint=hint)
