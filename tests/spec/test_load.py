"""Loading a fleet: what files mean together, and where each value came from."""

import os
import subprocess
import sys

import pytest

from deployer.spec.source import Source
from tests.spec.fleets import DEPLOYMENT, FLEET, HOST


def test_a_fleet_of_one_file_is_a_fleet(load):
    loaded = load({})
    assert (loaded.fleet.id, loaded.fleet.name, loaded.fleet.hosts, loaded.fleet.deployments) == ("7f3a9c21", "acme", {}, {})


def test_hosts_and_deployments_are_found_by_name_with_their_values_read(load):
    more = (
        "resources: {cpu: 8, memory: 1.5GiB}\nendpoint: {timeout: 1h30m}\nbatch: {max_wait: 5ms}\nplacement: {hosts: [gpu-01]}\n"
    )
    fleet = load(
        {
            "hosts/a.yml": HOST + "ports: 20000-20010\ngpus: [0, 1]\n",
            "deployments/b.yaml": DEPLOYMENT + more,
            "deployments/README": "x",
        }
    ).fleet
    assert fleet.hosts["gpu-01"].ports == (20000, 20010)
    assert fleet.hosts["gpu-01"].gpus == (0, 1)
    chat = fleet.deployments["chat"]
    assert chat.engine.name == "vllm"
    assert chat.engine.settings.dtype == "auto"
    assert chat.resources.memory == 3 * 2**29
    assert chat.resources.cpu == 8.0
    assert chat.endpoint.timeout == 5400.0
    assert chat.batch.max_wait == 0.005


def test_a_value_is_where_it_was_written(load):
    loaded = load({"deployments/chat.yaml": DEPLOYMENT + "sampling:\n  stop: [a, b]\n"})
    assert loaded.positions.of("deployment:chat", "sampling", "stop", 1) == Source("deployments/chat.yaml", 5, 13)
    assert loaded.positions.of("deployment:chat", "sampling", "top_p") == Source("deployments/chat.yaml", 4, 1)
    assert loaded.positions.of("deployment:chat", "replicas") == Source("deployments/chat.yaml", 1, 1)
    assert loaded.positions.of("deployer", "name") == Source("deployer.yaml", 2, 1)
    assert loaded.positions.of("deployment:other", "name") is None
    assert loaded.origins["deployment:chat"] == "deployments/chat.yaml"


BASE = "engine: {vllm: {max_model_len: 4096, dtype: float16}}\ntags: [a, b]\nsampling: {top_k: 5, seed: 1}\n"


def test_extends_merges_mappings_replaces_lists_and_null_unsets(load):
    over = (
        "extends: ../defaults/llm.yaml\nname: chat\nmodel: {repo: o/t}\n"
        "engine: {vllm: {max_model_len: 8192}}\ntags: [c]\nsampling: {seed: null}\n"
    )
    loaded = load({"defaults/llm.yaml": BASE, "deployments/chat.yaml": over})
    chat = loaded.fleet.deployments["chat"]
    assert (chat.engine.settings.max_model_len, chat.engine.settings.dtype) == (8192, "float16")
    assert chat.tags == ("c",)
    assert (chat.sampling.top_k, chat.sampling.seed) == (5, None)
    positions = loaded.positions
    assert positions.of("deployment:chat", "engine", "vllm", "dtype") == Source("defaults/llm.yaml", 1, 38)
    assert positions.of("deployment:chat", "engine", "vllm", "max_model_len") == Source("deployments/chat.yaml", 4, 17)


def test_a_mistake_in_an_extended_file_is_told_once_and_there(wrong):
    over = "extends: ../defaults/llm.yaml\nname: {}\nmodel: {{repo: o/t}}\n"
    files = {f"deployments/{name}.yaml": over.format(name) for name in ("a", "b", "c")}
    [found] = wrong({"defaults/llm.yaml": BASE + "replicas: many\n", **files})
    assert found.where == "defaults/llm.yaml:4:11"
    assert found.text == "replicas: many"


@pytest.mark.parametrize(
    ("extends", "says"),
    [
        ("../../etc/passwd", "extends must stay in the fleet"),
        ("/etc/passwd", "extends must stay in the fleet"),
        ("../../{root}/defaults/x", "extends must stay in the fleet"),
        ("../defaults/link.yaml", "extends must stay in the fleet"),
        ("../defaults/none.yaml", "there is no file defaults/none.yaml"),
        ("[a]", "extends must be the path of another file"),
    ],
)
def test_extends_leads_to_a_file_of_the_fleet(wrong, write, tmp_path, extends, says):
    write({"defaults/x": ""})
    os.symlink("/etc/passwd", tmp_path / "defaults" / "link.yaml")
    [found] = wrong({"deployments/chat.yaml": DEPLOYMENT + f"extends: {extends.format(root=tmp_path.name)}\n"})
    assert (found.message, found.line, found.column) == (says, 4, 10)


def test_extends_goes_one_level_deep(wrong):
    files = {"defaults/a.yaml": "extends: b.yaml\n", "defaults/b.yaml": BASE}
    [found] = wrong({**files, "deployments/chat.yaml": DEPLOYMENT + "extends: ../defaults/a.yaml\n"})
    assert (found.where, found.hint) == ("defaults/a.yaml:1:1", "one level only")


DEFAULTS = (
    FLEET + "defaults:\n  engine: {vllm: {version: 0.32.0, dtype: float16}, ctranslate2: {quantization: int8}}\n  replicas: 3\n"
)


def test_defaults_lie_beneath_and_only_those_of_the_engine_in_use(load):
    llm = "extends: ../defaults/llm.yaml\nname: llm\nmodel: {repo: o/t}\n"
    ct2 = "name: small\nmodel: {repo: o/t}\nengine: {ctranslate2: {}}\nreplicas: 1\n"
    loaded = load(
        {"deployer.yaml": DEFAULTS, "defaults/llm.yaml": BASE, "deployments/llm.yaml": llm, "deployments/small.yaml": ct2}
    )
    settings = loaded.fleet.deployments["llm"].engine.settings
    assert (settings.version, settings.dtype, settings.max_model_len) == ("0.32.0", "float16", 4096)
    assert loaded.fleet.deployments["llm"].replicas == 3
    assert loaded.fleet.deployments["small"].replicas == 1
    assert loaded.fleet.deployments["small"].engine.settings.quantization == "int8"
    assert loaded.positions.of("deployment:llm", "replicas") == Source("deployer.yaml", 5, 3)


def test_null_unsets_also_what_defaults_bring(load):
    base = "engine: {vllm: {}}\nreplicas: 5\n"
    over = "extends: ../defaults/llm.yaml\nname: llm\nmodel: {repo: o/t}\nreplicas: null\nengine: {vllm: {dtype: }}\n"
    files = {"deployer.yaml": DEFAULTS, "defaults/llm.yaml": base, "deployments/llm.yaml": over}
    loaded = load(files)
    llm = loaded.fleet.deployments["llm"]
    assert (llm.replicas, llm.engine.settings.dtype, llm.engine.settings.version) == (1, "auto", "0.32.0")
    assert loaded.positions.of("deployment:llm", "replicas") == Source("deployments/llm.yaml", 4, 1)
    files["deployments/llm.yaml"] = over.replace("{dtype: }", "null, ctranslate2: {}")
    assert load(files).fleet.deployments["llm"].engine.name == "ctranslate2"


def test_an_engine_with_nothing_after_it_means_its_defaults(load):
    text = "name: chat\nmodel: {repo: o/t}\nengine:\n  vllm:\n"
    assert load({"deployments/chat.yaml": text}).fleet.deployments["chat"].engine.settings.version is None
    loaded = load({"deployer.yaml": DEFAULTS, "deployments/chat.yaml": text})
    assert loaded.fleet.deployments["chat"].engine.settings.version == "0.32.0"


def test_defaults_are_checked_also_when_nobody_uses_them(wrong):
    text = FLEET + "defaults: {name: x, engine: {vlm: {}, vllm: {max_modl_len: 1}}, replicas: 0}\n"
    assert [(found.column, found.message, found.hint) for found in wrong({"deployer.yaml": text})] == [
        (12, "name belongs to one deployment, not to defaults", None),
        (30, "there is no engine 'vlm'", "did you mean vllm?"),
        (46, "engine.vllm has no 'max_modl_len'", "did you mean max_model_len?"),
        (75, "replicas must be a whole number from 1 to 10000, not 0", None),
    ]


def test_a_folder_without_a_fleet_says_how_to_make_one(settings, tmp_path):
    from deployer.errors import SpecError
    from deployer.spec.load import load_fleet

    with pytest.raises(SpecError) as caught:
        load_fleet(tmp_path / "nowhere", settings)
    [found] = caught.value.problems
    assert found.where == "deployer.yaml"
    assert "deployer init" in found.hint


def test_files_that_cannot_be_read_are_problems_like_others(wrong, write, tmp_path):
    write({"deployments/x/inner.yaml": "name: x", "hosts/.hidden.yaml": "{", "hosts/notes.md": "{"})
    (tmp_path / "deployments" / "latin.yaml").write_bytes(b"name: a\nmodel: caf\xe9\n")
    (tmp_path / "deployments" / "huge.yaml").write_bytes(b"# " + b"x" * (1 << 20))
    (tmp_path / "deployments" / "utf16.yaml").write_bytes("name: a".encode("utf-16"))
    os.mkfifo(tmp_path / "deployments" / "pipe.yaml")
    os.symlink("nowhere", tmp_path / "deployments" / "dangling.yaml")
    found = {problem.where: problem.message for problem in wrong({"deployments/empty.yaml": "# only a comment\n"})}
    assert found == {
        "deployments/dangling.yaml": "there is no such file",
        "deployments/empty.yaml": "the file is empty",
        "deployments/huge.yaml": "is larger than 1 MiB",
        "deployments/latin.yaml:2:11": "is not UTF-8: byte 0xe9",
        "deployments/pipe.yaml": "is not a file",
        "deployments/utf16.yaml:1:1": "is not UTF-8: byte 0xff",
        "deployments/x": "YAML files in a folder of deployments/ are not read",
    }


@pytest.mark.parametrize("text", ["- a\n", "word\n", "7\n", "''\n"])
def test_a_file_that_is_no_mapping_is_one_problem(wrong, text):
    [found] = wrong({"deployments/chat.yaml": text})
    assert (found.where, found.message) == ("deployments/chat.yaml:1:1", "a deployment is a mapping: lines of `key: value`")
    [found] = wrong({"deployer.yaml": text, "deployments/chat.yaml": DEPLOYMENT})
    assert found.where == "deployer.yaml:1:1"


@pytest.mark.parametrize(
    ("wants", "says"),
    [
        ('">=99"', "this fleet wants deployer >=99"),
        ("newest", "required_version must be a range"),
        ("0.3", "required_version must be one line of text"),
    ],
)
def test_a_fleet_may_want_another_version_of_deployer(wrong, wants, says):
    [found] = wrong({"deployer.yaml": FLEET + f"required_version: {wants}\n"})
    assert found.message.startswith(says)
    assert found.line == 3


def test_loading_brings_none_of_the_heavy_libraries():
    heavy = "fabric paramiko textual huggingface_hub jsonschema torch rich"
    code = f"import sys, deployer.spec.load; print(sorted(set('{heavy}'.split()) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
