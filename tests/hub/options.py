"""How the local hub behaves. May be changed while it runs."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class HubOptions:
    """`token` reads everything; `other_token` is valid but has no access to gated and private repositories; any other
    token is refused. `corrupt` names files ("org/name:file") whose bytes do not match the announced digest.
    """

    gated: set[str] = field(default_factory=set)
    gated_lists: bool = False  # a gated repository's list of files is open, only their content is not
    private: set[str] = field(default_factory=set)
    token: str = "hf_test"
    other_token: str = "hf_other"
    cut: int = 0  # a bigger file's transfer breaks after that many bytes …
    cut_times: int = 1  # … so many times per file
    slow_bps: int = 0  # bytes per second, 0: as fast as it goes
    corrupt: set[str] = field(default_factory=set)
    status: int = 0  # answer everything with this status (503, 429, …)
    silent: bool = False  # take the request and never answer
    verbose: bool = False
