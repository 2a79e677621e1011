"""Any text that YAML can hold goes through the loader, an engine and the unit, and comes out as it was written."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from deployer.app import checking
from deployer.engines import ENGINES
from deployer.engines.launch import PLACEHOLDERS, Launch, launch
from deployer.errors import SpecError
from deployer.spec.models import DeploymentSpec
from tests.engines.builders import CPU_SLOT, model


#: What one line of a unit or of a config file could stumble over.
class Quoted(yaml.SafeDumper):
    """Texts in quotes: a plain 08 or on is refused by the spec, which is another test's matter."""


Quoted.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


NASTY = (
    "%h",
    "$HOME",
    "${X}",
    "a b",
    '"',
    "'",
    "\\",
    "\\x41",
    "\n",
    "\t",
    ";",
    "#",
    "ü",
    "😀",
    "-x",
    "{a}",
    ": ",
    "[x]",
    "~",
    "",
)
TEXT = st.one_of(
    st.sampled_from(NASTY),
    st.lists(st.sampled_from(NASTY), max_size=5).map("".join),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30),
)
ENGINE_SETTINGS: dict[str, dict[str, Any]] = {
    "ctranslate2": {},
    "vllm": {"variant": "cpu"},
    "transformers": {},
    "llamacpp": {"program": "/usr/bin/llama-server"},
    "ollama": {},
}


def load(root: Path, engine: str, env: dict[str, str], description: str, stop: list[str]) -> DeploymentSpec:
    """As a person writes it: through YAML."""
    written = {
        "name": "chat",
        "description": description,
        "model": {"host_path": "/srv/m", **({"file": "m.gguf"} if engine in ("llamacpp", "ollama") else {})},
        "engine": {engine: {**ENGINE_SETTINGS[engine], "env": env}},
        "sampling": {"stop": stop},
    }
    (root / "hosts").mkdir(exist_ok=True)
    (root / "deployments").mkdir(exist_ok=True)
    (root / "deployer.yaml").write_text("id: 0ddba115\nname: odd\n")
    (root / "hosts/lab-1.yaml").write_text("name: lab-1\naddress: 192.0.2.1\n")
    (root / "deployments/chat.yaml").write_text(yaml.dump(written, Dumper=Quoted, allow_unicode=True))
    return checking.load(root).fleet.deployments["chat"]


def launched(spec: DeploymentSpec) -> Launch:
    process = ENGINES[spec.engine.name].process(spec, model(), CPU_SLOT)
    paths = {"env": "/opt/e", "model": "/srv/m", "serve": "/opt/serve.pyz"}
    return launch(process, spec, CPU_SLOT, fleet="odd", fleet_id="0ddba115", identity=("e", "m"), paths=paths)


def environment(unit: str) -> dict[str, str]:
    """systemd's reading of its Environment= lines: quotes, C escapes, doubled %, and no variables."""
    found = {}
    for line in unit.splitlines():
        if line.startswith("Environment="):
            quoted = line.removeprefix("Environment=")
            assert quoted[0] == quoted[-1] == '"'
            bare = re.sub(r'\\(x[0-9a-f]{2}|[nt"\\])', escaped, quoted[1:-1])
            assert "%" not in bare.replace("%%", "")
            name, _, value = bare.replace("%%", "%").partition("=")
            found[name] = value
    return found


def escaped(match: "re.Match[str]") -> str:
    word = match[1]
    return chr(int(word[1:], 16)) if word.startswith("x") else {"n": "\n", "t": "\t"}.get(word, word)


@pytest.mark.parametrize("engine", sorted(ENGINE_SETTINGS))
@given(value=TEXT, other=TEXT, description=TEXT, stop=st.lists(TEXT.filter(bool), max_size=3))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_yaml_says_is_what_the_process_gets(
    tmp_path: Path, engine: str, value: str, other: str, description: str, stop: list[str]
) -> None:
    everything = (value, other, description, *stop)
    assume(not any(word in text for word in PLACEHOLDERS for text in everything))  # refused, see below
    spec = load(tmp_path, engine, {"ODD_ONE": value, "ODD_TWO": other}, description, stop)
    found = launched(spec)
    env = environment(found.text)
    assert (env["ODD_ONE"], env["ODD_TWO"]) == (value, other)
    (about,) = [line for line in found.text.splitlines() if line.startswith("Description=")]
    assert about.startswith("Description=deployer odd chat/0")
    sections = [line for line in found.text.splitlines() if line.startswith("[")]
    assert sections == ["[X-Deployer]", "[Unit]", "[Service]", "[Install]"]
    if engine in ("ctranslate2", "transformers"):
        (config,) = [text for path, text in found.files if path.endswith("config.json")]
        assert stop_of(json.loads(config)) == stop


def stop_of(config: dict[str, Any]) -> list[str]:
    """Wherever the server's configuration keeps it."""
    found = [
        value
        for part in (config, *(v for v in config.values() if isinstance(v, dict)))
        for k, value in part.items()
        if k == "stop"
    ]
    return list(found[0]) if found and found[0] else []


@pytest.mark.parametrize("engine", sorted(ENGINE_SETTINGS))
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("A B", "x", "is not a name for an environment variable"),
        ("A=B", "x", "is not a name for an environment variable"),
        ("ODD", "a\x07b", "control character"),
        ("ODD", "a\rb", "control character"),
        ("ODD", "x{cache}y", "{cache} is a word of deployer's own and cannot be passed on"),
        ("LD_PRELOAD\n", "x", "is not a name for an environment variable"),
    ],
)
def test_what_cannot_arrive_is_refused_with_its_place(tmp_path: Path, engine: str, name: str, value: str, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        load(tmp_path, engine, {name: value}, "x", [])
    (problem,) = refused.value.problems
    assert message in problem.message
    assert problem.file == "deployments/chat.yaml"
    assert problem.line > 1
