"""The handler before an engine: what it is told is what it reads, and nothing else of a replica changes."""

import json
from typing import Any

import pytest

from deployer.engines import ENGINES, front
from deployer.engines.launch import Launch, launch
from deployer.handler.config import Config, config_of
from deployer.handler.redact import Redactor, RuleError
from deployer.spec.handler import Found, HandlerSpec, Pin
from deployer.spec.models import DeploymentSpec, Logging, SecretRef
from deployer.spec.requestlog import LogKafka
from tests.engines.builders import CPU_SLOT, deployment, model

PATHS = {
    "env": "/opt/e",
    "model": "/srv/m",
    "serve": "/opt/serve.pyz",
    "handler": "/opt/handler.pyz",
    "handler_env": "/opt/h",
    "handler_scripts": "/srv/s",
    "handler_revision": "3",
}
KAFKA = LogKafka(servers="k-1:9092", topic="requests", username="me", password=SecretRef(env="KAFKA_PASSWORD"))


def launched(spec: DeploymentSpec) -> Launch:
    process = ENGINES[spec.engine.name].process(spec, model(), front.inner(spec, CPU_SLOT))
    made = front.behind(process, spec, CPU_SLOT)
    return launch(made, spec, CPU_SLOT, fleet="acme", fleet_id="7f3a9c21", identity=("e", "m"), paths=PATHS)


def told(made: Launch) -> Config:
    [text] = [content for path, content in made.files if path.endswith("/handler.json")]
    return config_of(json.loads(text))


@pytest.mark.parametrize("engine", sorted(set(ENGINES) - {"predictor"}))
def test_an_engine_becomes_the_child_on_another_address(engine: str) -> None:
    plain = launched(deployment(engine))
    made = launched(deployment(engine, logging=Logging(requests="metadata")))
    config = told(made)
    assert config.upstream is not None
    assert (config.host, config.upstream.host, config.port, config.upstream.port) == ("127.0.0.1", "127.0.0.2", 20000, 20000)
    assert config.upstream.argv[0].startswith("/")
    assert "127.0.0.1" not in " ".join(config.upstream.argv) + "".join(
        t for p, t in made.files if "handler" not in p and ".py" not in p
    )
    assert "ExecStart=/opt/h/bin/python -I /opt/handler.pyz --config" in made.text
    assert "KillSignal=SIGTERM" in made.text
    assert made.runtime_digest != plain.runtime_digest
    assert not any(f"{{handler{rest}}}" in made.text + str(made.files) for rest in ("", "_env", "_scripts", "_revision", "_logs"))
    assert "handler.json" not in plain.text + str(plain.files)


def test_scripts_and_their_environment_are_told() -> None:
    handler = HandlerSpec(transformer="a/t.py", env={"MOOD": 'a "b" %h $x\\n'})
    made = told(launched(deployment("ctranslate2", handler=handler.with_found(Found(transformer="t.py")))))
    assert (made.transformer, made.scripts, made.model, made.revision) == ("t.py", "/srv/s", "/srv/m", "3")
    assert made.env == {"MOOD": 'a "b" %h $x\\n'}


def test_packages_with_hashes_make_an_environment_of_their_own() -> None:
    pins = (Pin("rapidfuzz[all]==3.1 ; python_version > '3'", ("a" * 64,)),)
    spec = deployment("vllm", handler=HandlerSpec(transformer="t.py").with_found(Found(pins=pins)))
    plain = front.environment_of(deployment("vllm", handler=HandlerSpec(transformer="t.py")))
    need = front.environment_of(spec)
    assert need is not None
    assert plain is not None
    assert plain.name == "handler-1"
    assert need.name != plain.name
    assert need.hashes == (("rapidfuzz", ("a" * 64,)),)
    assert need.asked != plain.asked


@pytest.mark.parametrize(
    ("logging", "in_unit", "not_in_unit"),
    [
        (Logging(requests="metadata"), ("LogRateLimitIntervalSec=0",), ("LogsDirectory",)),
        (
            Logging(requests="full", sink="file"),
            ("LogsDirectory=deployer/acme/chat/0\nLogsDirectoryMode=0750",),
            ("LogRateLimit",),
        ),
        (
            Logging(requests="full", sink="kafka", kafka=KAFKA),
            ("LoadCredential=kafka-password:/etc/deployer/acme/chat/",),
            ("LogsDirectory", "KAFKA_PASSWORD"),
        ),
    ],
)
def test_each_sink_gets_what_it_needs_of_the_unit(
    logging: Logging, in_unit: tuple[str, ...], not_in_unit: tuple[str, ...]
) -> None:
    made = launched(deployment("ctranslate2", logging=logging))
    assert all(line in made.text for line in in_unit)
    assert not any(line in made.text for line in not_in_unit)
    log = told(made).log
    assert log is not None
    assert log.sink == logging.sink
    if logging.sink == "file":
        assert log.file["path"] == "/var/log/deployer/acme/chat/0/requests.jsonl"
    if logging.sink == "kafka":
        assert made.secrets == ((f"{made.directory}/kafka-password", "env:KAFKA_PASSWORD"),)
        assert log.kafka["password_file"].startswith("/run/credentials/")


@pytest.mark.parametrize(
    ("logging", "said"),
    [
        ({"redact": ("(",)}, "is no regular expression"),
        ({"redact": ("a*",)}, "matches the empty text"),
        ({"redact": ("$.a b",)}, "is no path"),
        ({"redact": ("$",)}, "is no path"),
        ({"sink": "kafka"}, "needs logging.kafka"),
        ({"kafka": LogKafka(servers="k:1", topic="t", username="me")}, "go together"),
    ],
)
def test_what_cannot_be_logged_is_refused(logging: dict[str, Any], said: str) -> None:
    [found] = front.complaints(deployment("vllm", logging=Logging(requests="full", **logging)))
    assert said in found.message


@pytest.mark.parametrize("rule", ["(", "a*", "$.a b", "$", "$.a", "$..a", "$.a[*]['x y'][0].*", r"\d+", "$.a[x]", "[", "$a"])
def test_the_controller_refuses_the_rules_that_the_handler_refuses(rule: str) -> None:
    refused = bool(list(front.complaints(deployment("vllm", logging=Logging(requests="full", redact=(rule,))))))
    try:
        Redactor([rule])
    except RuleError:
        assert refused
    else:
        assert not refused
