"""The certificate that clients see, as far as a plan must know it. Made by app.certificates."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Certificate:
    """`problem`: why it cannot be used at all; the rest is empty then. `fits`: whether the key belongs to it; None: the key is
    not at hand. Times are ISO 8601 in UTC.
    """

    pem: str = ""
    names: tuple[str, ...] = ()
    not_before: str = ""
    not_after: str = ""
    sha256: str = ""
    fits: bool | None = None
    problem: str | None = None
