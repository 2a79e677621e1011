"""What an editor says by the JSON Schema and what `validate` says by the models is the same, for documents right and wrong."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from deployer.engines import settings_models
from deployer.errors import SpecError
from deployer.spec.load import load_fleet
from deployer.spec.schema import schemas
from deployer.spec.strict import parse
from deployer.spec.validate import Validator

Schema = dict[str, Any]
SETTINGS = settings_models()
VALIDATOR = Validator(SETTINGS, {})  # one for all: it keeps the schemas that it explains with
SCHEMAS = schemas(SETTINGS)
KINDS = ("deployment", "host", "catalog", "deployer")


def _pattern(validator: Any, pattern: str, instance: Any, schema: Schema) -> Any:
    """As editors (ECMA 262) and pydantic read `$`: the very end, not before a last line feed as in Python."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern}")


def judge(file: str) -> Any:
    schema = SCHEMAS[file]
    base = jsonschema.validators.validator_for(schema)
    return jsonschema.validators.extend(base, {"pattern": _pattern})(schema)


JUDGES = {kind: [judge(f"{kind}{form}.schema.json") for form in ("", ".draft-07")] for kind in KINDS}


def models_accept(kind: str, document: Any) -> list[str]:
    """What our own messages are; empty when the document is right."""
    text = json.dumps(document)
    tree, problems = parse(text, "f.yaml")
    validator = VALIDATOR
    validator.problems.clear()
    if tree is not None:
        checks = {
            "deployment": validator.deployment,
            "host": validator.host,
            "catalog": validator.catalog,
            "deployer": validator.fleet,
        }
        checks[kind](tree)
    return [found.message for found in (*problems, *validator.problems)]


RIGHT: dict[str, Schema] = {
    "deployment": {
        "name": "chat",
        "description": "Team chat",
        "tags": ["chat", "prod"],
        "model": {"repo": "org/tiny", "revision": "main", "accept_license": "llama3.1", "token": {"env": "HF_TOKEN"}},
        "engine": {"vllm": {"version": "0.32.0", "max_model_len": 8192, "args": {"enable_prefix_caching": True}}},
        "sampling": {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "max_tokens": 512, "stop": ["</s>"], "seed": 1},
        "batch": {"max_size": 64, "max_wait": "5ms"},
        "replicas": 2,
        "placement": {"labels": {"gpu": "h100"}, "gpus": 1, "hosts": ["gpu-01"]},
        "resources": {"cpu": 8, "memory": "64GiB"},
        "endpoint": {
            "keys": [{"name": "team-a", "sha256": "a" * 64}, {"name": "b", "secret": {"command": ["pass", "b"]}}],
            "model_names": ["org/tiny"],
            "timeout": "60s",
        },
        "rollout": {
            "strategy": "auto",
            "max_parallel": 1,
            "min_healthy": "10s",
            "healthy_deadline": "1h30m",
            "auto_revert": True,
        },
        "logging": {"requests": "metadata"},
        "state": "running",
        "protected": True,
        "previous_names": ["old"],
    },
    "host": {
        "name": "gpu-01",
        "address": "10.0.0.11",
        "connection": "ssh",
        "user": "deploy",
        "port": 22,
        "jump": "root@bastion",
        "host_key": "ssh-ed25519 AAAAC3Nz",
        "identity_file": "keys/id_ed25519",
        "sudo": True,
        "labels": {"gpu": "h100"},
        "ports": "20000-20999",
        "paths": {"models": "/nvme/models", "engines": "/nvme/engines"},
        "gpus": ["GPU-5c2b"],
        "gateway": True,
        "hub_url": "https://hub.example.org",
        "index_url": "https://index.example.org/simple",
        "proxy": "http://proxy:3128",
        "ca": "ca.pem",
        "state": "active",
        "price": "2.49 EUR",
    },
    "catalog": {
        "name": "ours-7.5b",
        "about": "trained by us",
        "kind": "chat",
        "repo": "acme/ours",
        "license": "mit",
        "gated": False,
        "parameters": "7.5B",
        "active": "0.5B",
        "weights": "bfloat16",
        "context": 8192,
        "config": {"model_type": "llama"},
        "engines": {"vllm": {"max_model_len": 8192}},
        "quantized": [{"repo": "acme/ours-fp8", "method": "fp8"}],
        "guidance": ["vllm"],
        "sources": [{"url": "https://example.org/ours", "says": ["license"], "read": False}],
    },
    "deployer": {
        "id": "7f3a9c21",
        "name": "acme",
        "environment": "prod",
        "required_version": ">=0.1",
        "defaults": {"engine": {"vllm": {"version": "0.32.0"}, "ctranslate2": {}}, "rollout": {"min_healthy": "5s"}},
        "packages": {"index_url": "https://i.example.org", "find_links": ["wheels"], "targets": ["3.11/x86_64/glibc-2.36"]},
        "gateway": {"port": 8443, "insecure": True, "hosts": ["gw-1"]},
    },
}

#: Values that are right in one place and wrong in most; no number like 1.0, which JSON Schema takes for a whole number.
VALUES: SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        65536,
        2**70,
        0.5,
        -0.5,
        2.5,
        "",
        "x",
        "all",
        "A b",
        "a\n",
        "é",
        "10s",
        "0s",
        "5",
        "64GiB",
        "0GiB",
    ]
    + ["auto", "canary", "off", "full", "local", "ssh", "stopped", "retired", "/abs", "../up", "org/name", "u@h", "20000-20999"]
    + [
        "https://u:p@h/x",
        "https://h/x",
        "b" * 41,
        "a" * 64,
        "GPU-1",
        [],
        [1],
        ["a"],
        ["a", 1],
        [None],
        [[]],
        {},
        {"a": 1},
        {"a": None},
    ]
    + [{"env": "A"}, {"file": "a", "env": "A"}, {"command": []}, {"vllm": {}}, {"vllm": None}, {"vllm": {}, "ctranslate2": {}}]
    + [{"repo": "a"}, {"repo": None, "path": "a"}, {"extends": "x"}, [{"name": "a"}], [{"name": "a", "sha256": "a" * 64}]]
)
KEYS = st.sampled_from(
    [
        "name",
        "extends",
        "repo",
        "path",
        "host_path",
        "token",
        "env",
        "file",
        "engine",
        "vllm",
        "ctranslate2",
        "model",
        "gpus",
        "keys",
    ]
    + ["address", "connection", "tls", "handler", "max_modl_len", "defaults", "labels", "gpu", "secret", "sha256", "args", "open"]
)


def _spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(spot for key, child in inner for spot in _spots(child, (*path, key)))]


def change(document: Schema, data: DataObject) -> Schema:
    """One edit somewhere in the document: a value replaced, a line added, a line taken out."""
    path = data.draw(st.sampled_from([spot for spot in _spots(document) if spot]))
    parent: Any = document
    for part in path[:-1]:
        parent = parent[part]
    edit = data.draw(st.sampled_from(["replace", "add", "remove"]))
    if edit == "remove":
        del parent[path[-1]]
    elif edit == "add" and isinstance(parent, dict):
        parent[data.draw(KEYS)] = deepcopy(data.draw(VALUES))
    else:
        parent[path[-1]] = deepcopy(data.draw(VALUES))
    return document


def assert_agree(kind: str, document: Any) -> bool:
    messages = models_accept(kind, document)
    for one in JUDGES[kind]:
        errors = [error.message for error in one.iter_errors(document)]
        assert (not errors) == (not messages), (document, errors, messages)
    return not messages


@pytest.mark.parametrize("kind", KINDS)
def test_both_accept_a_document_with_every_field(kind: str) -> None:
    assert assert_agree(kind, RIGHT[kind])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=80)
@given(data=st.data())
def test_both_say_the_same_of_a_document_with_a_few_edits(kind: str, data: DataObject) -> None:
    document = deepcopy(RIGHT[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        if document:
            document = change(document, data)
    # with `extends`, the models see the file only after it is merged
    if "extends" not in document:
        assert_agree(kind, document)


def _each_field(kind: str) -> list[tuple[Any, ...]]:
    return [spot for spot in _spots(RIGHT[kind]) if spot]


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind in KINDS for path in _each_field(kind)], ids=str)
def test_both_say_the_same_when_one_value_is_another(kind: str, path: tuple[Any, ...]) -> None:
    seen = set()
    for value in [None, 5, -1, 0.5, True, "x", "A b", "\n", [], [5], {}, {"x": 5}]:
        document = deepcopy(RIGHT[kind])
        parent = document
        for part in path[:-1]:
            parent = parent[part]
        parent[path[-1]] = value
        seen.add(assert_agree(kind, document))
    assert False in seen or path[:3] == ("engine", "vllm", "args") or path[:1] == ("config",)


def test_a_file_that_extends_another_may_leave_things_out() -> None:
    part = {"extends": "../defaults/llm.yaml", "name": "chat", "model": {"revision": "v2"}, "sampling": None}
    assert [list(one.iter_errors(part)) for one in JUDGES["deployment"]] == [[], []]
    wrong = {**part, "model": {"revisoin": "v2"}}
    assert all(list(one.iter_errors(wrong)) for one in JUDGES["deployment"])


def test_what_the_schema_accepts_loads(write: Callable[[dict[str, str]], Any]) -> None:
    files = {"deployer.yaml": RIGHT["deployer"], "deployments/chat.yaml": RIGHT["deployment"], "hosts/gpu-01.yaml": RIGHT["host"]}
    with pytest.raises(SpecError) as caught:
        load_fleet(write({name: json.dumps(document) for name, document in files.items()}), SETTINGS)
    assert [found.message for found in caught.value.problems] == ["there is no host 'gw-1'"]
