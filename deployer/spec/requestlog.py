"""`logging:` of a deployment: what is written down of its requests, and where. docs/request-log.md."""

from typing import Annotated, Literal

from pydantic import Field

from deployer.spec.base import Model, SecretRef
from deployer.spec.fields import Line, Size, text

Servers = Annotated[str, text(r"^[A-Za-z0-9_.:\[\]-]+(,[A-Za-z0-9_.:\[\]-]+)*$", "host:port, several with commas between")]
Topic = Annotated[str, text(r"^[A-Za-z0-9._-]{1,249}$", "the name of a topic")]


class LogFile(Model):
    """`sink: file`: one file for each replica, below /var/log/deployer on its host."""

    size: Size = Field(64 << 20, description="Bytes after which the next file begins. Default: 64MiB.")
    count: Annotated[int, Field(ge=1, le=1000, description="How many full files are kept. Default: 8.")] = 8


class LogKafka(Model):
    """`sink: kafka`: a topic of a Kafka cluster. A user name means SCRAM-SHA-512."""

    servers: Servers
    topic: Topic
    tls: bool = True
    username: Line | None = None
    password: SecretRef | None = None


class Logging(Model):
    """A record for each request: off, metadata (who, when, how long, how many tokens; never its text) or full (with bodies)."""

    requests: Literal["off", "metadata", "full"] = "off"
    sink: Annotated[Literal["journald", "file", "kafka"], Field(description="Where records go.")] = "journald"
    sample: Annotated[float, Field(gt=0, le=1, description="The share of requests that is written down.")] = 1.0
    redact: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=500)], ...],
        Field(description="What is taken out first: JSON paths of bodies ($.messages[*].content), or regular expressions."),
    ] = ()
    max_body: Size = Field(256 << 10, description="A body that is larger is left out. Default: 256KiB.")
    file: LogFile = LogFile()
    kafka: LogKafka | None = None
