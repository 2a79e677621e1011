"""What can stand on a host, in one shape for "is wanted" and "is there", so that a diff is a comparison of two of them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from deployer.spec.positions import Where

Scalar = str | int | float | bool | None


class Kind(StrEnum):
    """In the order in which they are made; they are removed in the opposite order."""

    PACKAGE = "package"  # a package of the operating system (haproxy)
    TOOL = "tool"  # a single program we bring (uv)
    ENVIRONMENT = "environment"  # a Python environment built from hash-pinned requirements
    MODEL = "model"  # an immutable directory of model files: downloaded, pushed, or converted from another
    SCRIPTS = "scripts"  # an immutable directory of a deployment's own scripts
    GATEWAY = "gateway"  # the HAProxy service of the fleet on one host
    REPLICA = "replica"  # one running copy of a deployment
    ENDPOINT = "endpoint"  # a deployment's address on one gateway
    DEPLOYMENT = "deployment"  # what is only noted: description, tags, protection
    FOREIGN = "foreign"  # a unit that somebody made by hand, and that one of ours takes over from
    HISTORY = "history"  # earlier revisions of a deployment, as a host remembers them


#: Kinds that are content-addressed directories, shared between deployments and fleets.
ARTIFACTS = frozenset({Kind.TOOL, Kind.ENVIRONMENT, Kind.MODEL, Kind.SCRIPTS})


#: Where a fleet's gateway is found on each host.
GATEWAY = f"{Kind.GATEWAY}:gateway"


class Attribute(NamedTuple):
    """One line of a diff.

    `restarts`: a change of it needs a new process. `secret`: `value` is a keyed fingerprint, never the secret;
    None then means "kept as on the host". `at`: where the files say it; what a host recorded has none, since files change.
    """

    name: str
    value: Scalar
    restarts: bool = False
    secret: bool = False
    at: Where | None = None


class Resource(NamedTuple):
    """One thing on one host. A plan of a large fleet makes hundreds of thousands: a tuple is made in less than half the time.

    `payload` is what the steps need to make it: rendered files, arguments, digests; plain JSON values, no secret,
    only references to secrets. It is recorded on the host, so that it can be made again or taken away without the
    files. `needs` are addresses on the same host. Sizes are bytes.
    """

    host: str
    kind: Kind
    name: str
    deployment: str | None = None
    attributes: tuple[Attribute, ...] = ()
    payload: Mapping[str, Any] = {}  # one for all that have none: nobody writes to it
    needs: tuple[str, ...] = ()
    at: Where | None = None
    download_bytes: int = 0
    disk_bytes: int = 0
    vram_bytes: int = 0

    @property
    def address(self) -> str:
        return self.kind + ":" + self.name  # half as long as a formatted one

    def attribute(self, name: str) -> Attribute | None:
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        return None

    @property
    def runs(self) -> bool:
        """Is it wanted to run? What has no state of its own always is."""
        state = self.attribute("state")
        return state is None or state.value == "running"
