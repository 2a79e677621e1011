"""`logging:` for the handler that stands before an engine: its configuration, what of it restarts, and what is wrong with it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from deployer.engines.base import Complaint
from deployer.engines.launch import placeholder_complaints
from deployer.spec.models import Logging
from deployer.state.resources import Scalar

PASSWORD = "kafka-password"  # the name of its file
_PATH = re.compile(r"\$(\.\.[A-Za-z_][\w-]*|\.[A-Za-z_][\w-]*|\.\*|\[\*\]|\[\d+\]|\['[^']+'\])+")


def config(logging: Logging) -> Mapping[str, Any] | None:
    """As deployer/handler/requestlog.py reads it; None: nothing is logged."""
    if logging.requests == "off":
        return None
    return {
        "requests": logging.requests,
        "sink": logging.sink,
        "sample": logging.sample,
        "redact": list(logging.redact),
        "max_body": logging.max_body,
        "file": _file(logging) if logging.sink == "file" else {},
        "kafka": _kafka(logging) if logging.sink == "kafka" else {},
    }


def _file(logging: Logging) -> dict[str, Any]:
    return {"path": "{handler_logs}/requests.jsonl", "size": logging.file.size, "count": logging.file.count}


def _kafka(logging: Logging) -> dict[str, Any]:
    assert logging.kafka is not None
    told = {"servers": logging.kafka.servers, "topic": logging.kafka.topic, "tls": logging.kafka.tls}
    if logging.kafka.username is None:
        return told
    return {**told, "username": logging.kafka.username, "password_file": f"{{credentials}}/{PASSWORD}"}


def runtime(logging: Logging) -> tuple[dict[str, Scalar], dict[str, tuple[str | int, ...]]]:
    """What a new process is needed for, and where it stands in the YAML."""
    told = config(logging)
    if told is None:
        return {}, {}
    values: dict[str, Scalar] = {}
    for name, value in told.items():
        if value not in ({}, []):
            values[f"logging.{name}"] = value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)
    return values, {name: ("logging", name.partition(".")[2]) for name in values}


def complaints(logging: Logging) -> Iterator[Complaint]:
    for number, rule in enumerate(logging.redact):
        why = _wrong(rule)
        if why is not None:
            hint = "a JSON path such as $.messages[*].content, or a regular expression"
            yield Complaint(("logging", "redact", number), why, hint)
    yield from placeholder_complaints(("logging", "redact"), list(logging.redact))
    if logging.sink == "kafka" and logging.kafka is None:
        yield Complaint(("logging", "sink"), "sink: kafka needs logging.kafka", "kafka: {servers: kafka-1:9092, topic: requests}")
    if logging.kafka is not None and (logging.kafka.username is None) != (logging.kafka.password is None):
        yield Complaint(("logging", "kafka"), "a user name and a password go together", "password: {env: KAFKA_PASSWORD}")


def _wrong(rule: str) -> str | None:
    if rule.startswith("$"):
        return None if _PATH.fullmatch(rule) else f"{rule} is no path that deployer knows"
    try:
        return f"{rule} matches the empty text" if re.match(rule, "") else None
    except re.error as error:
        return f"{rule} is no regular expression: {error}"
