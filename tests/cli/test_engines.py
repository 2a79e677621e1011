"""`deployer engines`, and what a wrong flag looks like: file, line and the right name."""

import json
from pathlib import Path

import pytest

from deployer.app import tables
from deployer.cli.main import main
from deployer.engines.vllm_flags import Flag, flags
from deployer.engines.vllm_settings import VllmSettings
from deployer.lock.options.table import module_text

CHAT = """\
name: chat
model: {repo: org/name}
engine:
  vllm:
    version: 0.32.0
    args:
      enable_prefix_cachin: true
      enable_mamba_fine_grained_prefix_cache: true
      scheduling_policy: priorty
placement: {hosts: [h1]}
"""


def test_three_wrong_flags_are_three_messages_with_place_and_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("deployments", "hosts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "deployer.yaml").write_text("id: 7f3a9c21\nname: acme\n")
    (tmp_path / "hosts/h1.yaml").write_text("name: h1\naddress: 10.0.0.1\n")
    (tmp_path / "deployments/chat.yaml").write_text(CHAT)
    assert main(["validate", "--json", "-C", str(tmp_path)]) == 3
    found = json.loads(capsys.readouterr().out)["problems"]
    assert [f"{p['file']}:{p['line']}: {p['message']} [{p['hint']}]" for p in found] == [
        "deployments/chat.yaml:7: vLLM 0.32.0 has no option enable_prefix_cachin [did you mean enable_prefix_caching?]",
        "deployments/chat.yaml:8: vLLM 0.32.0 has no option enable_mamba_fine_grained_prefix_cache any more: removed in 0.31"
        " [0.31 brought enable_mamba_shared_prefix_checkpoint in its place]",
        "deployments/chat.yaml:9: scheduling_policy cannot be 'priorty' [did you mean priority?]",
    ]
    assert [p["column"] for p in found] == [7, 7, 26], "names where the name is wrong, the value where that is"


def test_what_an_upgrade_brings_and_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "diff", "0.30", "0.31.0", "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert {"change": "removed", "option": "enable_mamba_fine_grained_prefix_cache", "what": ""} in changes
    assert {"change": "added", "option": "log_level", "what": "a text"} in changes


def test_a_table_of_a_version_that_no_deployment_can_have_is_said_to_be_there_to_compare(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["engines", "list", "--json"]) == 0
    found = {row["version"]: row["starts"] for row in json.loads(capsys.readouterr().out)["versions"]}
    settings = VllmSettings.model_fields["version"]
    assert {version for version, starts in found.items() if not starts} == {"0.30", "0.31"}
    assert "0.32 or newer" in str(settings.description)
    assert main(["engines", "list"]) == 0
    assert capsys.readouterr().out.count("to compare only") == 2


def test_options_of_one_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "options", "0.32", "prefix-caching-h"]) == 0
    assert 'prefix_caching_hash_algo  text  "sha256"  sha256 sha256_cbor xxhash xxhash_cbor' in capsys.readouterr().out


@pytest.mark.parametrize("words", [["options", "0.9"], ["diff", "0.32", "1.0"], ["sync", "--version", "new"]])
def test_a_version_that_is_not_known_is_a_wrong_command_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", *words]) == 64
    assert "0.3" in capsys.readouterr().err


def test_sync_writes_a_table_once_and_check_sees_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"seed": Flag("int", default="0")}
    monkeypatch.setattr(tables, "_read", lambda engine, version, say: (found, f"vllm {version}"))
    words = ["engines", "sync", "--version", "9.1.0", "--out", str(tmp_path)]
    assert main([*words, "--check"]) == 1
    assert not list(tmp_path.iterdir())
    assert main(words) == 0
    assert (tmp_path / "v9_1.py").read_text() == module_text("9.1.0", "vllm 9.1.0", found)
    assert (tmp_path / "__init__.py").read_text().endswith('VERSIONS = ("9.1",)\n')
    assert main([*words, "--check"]) == 0
    found["seed"] = Flag("int", default="1")
    capsys.readouterr()
    assert main([*words, "--check", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["tables"][0]["behind"] is True


def test_the_tables_that_are_kept_are_as_they_would_be_written() -> None:
    for file in sorted(tables.folder().glob("v*.py")):
        version = file.stem.removeprefix("v").replace("_", ".")
        text = file.read_text()
        made: dict[str, str] = {}
        exec(compile(text, str(file), "exec"), made)
        assert module_text(made["VERSION"], made["READ_FROM"], flags(version)) == text
