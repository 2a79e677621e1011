"""A wrong configuration is named: the file, the key, what is wanted."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployer.serve.config import Config, load_config, parse_config
from deployer.serve.errors import ConfigError
from deployer.serve.model import load_model
from deployer.serve.sampling import Defaults

_GOOD = {"model_dir": "/m", "model_names": ["a", "b"], "port": 8000}


def test_what_is_left_out_has_a_default_and_null_is_left_out() -> None:
    config = parse_config({**_GOOD, "max_model_len": None, "sampling": {"temperature": 0.5, "seed": 3}})
    assert config == Config(model_dir="/m", model_names=("a", "b"), port=8000, sampling=Defaults(temperature=0.5, seed=3))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("max_batchsize", 3, "unknown key 'max_batchsize'"), ("port", "8000", "port: int is wanted"),
        ("port", True, "port: int"),
        ("model_names", [], "model_names: a list"), ("model_names", [1], "model_names: str"),
        ("inter_threads", 0, "inter_threads: 0 is too small"),
        ("max_wait_ms", -1, "max_wait_ms"), ("device_index", ["x"], "device_index: int"),
        ("sampling", {"topp": 1}, "sampling.topp: unknown"),
        ("sampling", {"top_p": 2}, "sampling.top_p"), ("sampling", [], "sampling: an object"),
        ("log_requests", "no", "log_requests: bool"),
        ("shutdown_timeout_s", float("inf"), "shutdown_timeout_s"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named(key: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_config({**_GOOD, key: value})


@pytest.mark.parametrize("missing", sorted(_GOOD))
def test_what_must_be_there_is_named(missing: str) -> None:
    with pytest.raises(ConfigError, match=f"{missing} is missing"):
        parse_config({k: v for k, v in _GOOD.items() if k != missing})


@pytest.mark.parametrize("text", ["{", "[]", "\xff\xfe", ""])
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="config.json"):
        load_config(str(path))


def _model(tmp_path: Path, source: Path, **files: str) -> Config:
    for file in source.iterdir():
        (tmp_path / file.name).symlink_to(file)
    for name, text in files.items():
        (tmp_path / name.replace("__", ".")).unlink()
        if text:
            (tmp_path / name.replace("__", ".")).write_text(text)
    return Config(model_dir=str(tmp_path), model_names=("a",), port=0)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"tokenizer__json": ""}, "there is no tokenizer.json"),
        ({"tokenizer__json": "{}"}, "tokenizer.json"),
        ({"generation_config__json": "{"}, "generation_config.json"),
        ({"generation_config__json": "", "tokenizer_config__json": '{"model_max_length": 5}'}, "which token ends an answer"),
        ({"tokenizer_config__json": "{}"}, "max_model_len is missing"),
        ({"chat_template__jinja": "{% if %}"}, "chat template is not valid"),
    ],
)
def test_a_model_directory_that_cannot_be_served_is_explained(
    tmp_path: Path, model_dir: Path, files: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load_model(_model(tmp_path, model_dir, **files))


def test_without_a_chat_template_the_model_is_still_served(tmp_path: Path, model_dir: Path) -> None:
    model = load_model(_model(tmp_path, model_dir, chat_template__jinja=""))
    assert model.template is None
    assert model.context == 1024  # what the tokenizer says


def test_defaults_of_the_model_are_below_those_of_the_deployment(tmp_path: Path, model_dir: Path) -> None:
    said = json.dumps({"eos_token_id": 0, "temperature": 0.2, "top_k": 7})
    config = _model(tmp_path, model_dir, generation_config__json=said)
    defaults = load_model(Config(model_dir=config.model_dir, model_names=("a",), port=0, sampling=Defaults(top_k=3))).defaults
    assert (defaults.temperature, defaults.top_k) == (0.2, 3)
