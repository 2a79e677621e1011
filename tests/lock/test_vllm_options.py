"""Options are read from source text by following what builds the parser; what cannot be told is left open."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.engines.vllm_flags import Flag
from deployer.errors import DeployerError
from deployer.lock.options.table import listing_text, module_text
from deployer.lock.options.vllm import read_options

FILLER = "\n".join(f"    filler_{n}: int = {n}" for n in range(100))
HOME = "vllm/entrypoints/common/cli_args.py"
ENGINE = "vllm/engine/arg_utils.py"
FILES = {
    HOME: f"""
import json
from vllm.engine.arg_utils import EngineArgs
from .words import *

@config
class BaseFrontendArgs:
    origins: list[str] = field(default_factory=list)
    log_words: Words = "auto"

    @classmethod
    def _customize_cli_kwargs(cls, kw):
        kw["origins"]["type"] = json.loads
        del kw["origins"]["nargs"]
        return kw

    @classmethod
    def add_cli_args(cls, parser):
        frontend_kwargs = get_kwargs(cls)
        frontend_kwargs = cls._customize_cli_kwargs(frontend_kwargs)
        for key, value in frontend_kwargs.items():
            parser.add_argument(f"--{{key}}", **value)
        return parser

@config
class FrontendArgs(BaseFrontendArgs):
{FILLER}

def make_arg_parser(parser):
    parser.add_argument("--headless", action="store_true")
    parser.add_argument("--level", choices=["low", "high"], default="low")
    parser.add_argument("--device", choices=["cpu"] + more())
    parser = FrontendArgs.add_cli_args(parser)
    parser = EngineArgs.add_cli_args(parser)
    return parser
""",
    "vllm/entrypoints/common/words.py": 'Words = Literal["auto", "none"]',
    ENGINE: """
from vllm.config import ModelConfig
import argparse
OLD = "--old is deprecated. Use --new instead."

def _compute_kwargs(cls):
    human_readable_int_args = {"tokens"}

class EngineArgs:
    @staticmethod
    def add_cli_args(parser):
        model_kwargs = get_kwargs(ModelConfig)
        model_kwargs["backend"]["choices"].remove("slow")
        group = parser.add_argument_group(title="ModelConfig")
        group.add_argument("--dtype", **model_kwargs["dtype"])
        group.add_argument("--tokens", "-t", **model_kwargs["tokens"])
        group.add_argument("--backend", **model_kwargs["backend"])
        group.add_argument("--share", "--portion", **{**model_kwargs["share"], "default": None})
        group.add_argument("--eager", **model_kwargs["eager"])
        group.add_argument("--sizes", **model_kwargs["sizes"])
        group.add_argument("--nested", **model_kwargs["nested"])
        group.add_argument("--anything", **model_kwargs["anything"])
        group.add_argument("--unknown", **model_kwargs["unknown"])
        group.add_argument("--old", action=argparse.BooleanOptionalAction, help=OLD)
        return parser
""",
    "vllm/config/__init__.py": "from vllm.config.model import ModelConfig",
    "vllm/config/model.py": """
from elsewhere import Mystery
Half = Literal["half"]
DType = Literal["auto", Half]

@config
class Nested:
    x: int = 1

@config(config=None)
class ModelConfig:
    dtype: DType = "auto"
    tokens: int | None = None
    backend: Literal["fast", "slow"] | None = Field(default="fast")
    share: float = Field(default=0.9, gt=0)
    eager: bool = False
    sizes: "list[int] | None" = None
    nested: Nested = field(default_factory=Nested)
    anything: DType | str = "auto"
    unknown: Mystery = compute()
""",
}


def options(files: Mapping[str, str] = FILES) -> Mapping[str, Flag]:
    return read_options(files.get)


def test_each_way_of_stating_an_option_is_read() -> None:
    found = options()
    assert {name: flag for name, flag in found.items() if not name.startswith("filler")} == {
        "headless": Flag("true", default="false"),
        "level": Flag("text", choices=("low", "high"), default='"low"'),
        "device": Flag("text"),
        "origins": Flag("json"),
        "log-words": Flag("text", choices=("auto", "none"), default='"auto"'),
        "dtype": Flag("text", choices=("auto", "half"), default='"auto"'),
        "tokens": Flag("size", default="null"),
        "backend": Flag("text", choices=("fast", "None"), default='"fast"'),
        "share": Flag("float", default="null"),
        "eager": Flag("switch", default="false"),
        "sizes": Flag("int", many=True, default="null"),
        "nested": Flag("json"),
        "anything": Flag("text", default='"auto"'),
        "unknown": Flag("text"),
        "old": Flag("switch", deprecated="--old is deprecated. Use --new instead."),
    }
    assert found["filler-7"] == Flag("int", default="7")


def test_what_is_not_a_vllm_is_said() -> None:
    with pytest.raises(DeployerError, match="not the source of a vLLM"):
        options({})
    with pytest.raises(DeployerError, match="only 1 options were found"):
        options({HOME: 'def make_arg_parser(p):\n    p.add_argument("--one")'})


@settings(max_examples=60)
@given(st.sampled_from(sorted(FILES)), st.integers(0, 3000), st.integers(0, 60), st.text("()[]:=\"'\\n .|xNone", max_size=8))
def test_damaged_source_is_an_error_or_less_but_never_a_traceback(file: str, at: int, length: int, instead: str) -> None:
    text = FILES[file]
    at %= len(text)
    try:
        found = options({**FILES, file: text[:at] + instead + text[at + length :]})
    except DeployerError:
        return
    assert all(flag.kind in ("switch", "true", "int", "float", "size", "json", "text") for flag in found.values())


def test_a_table_is_a_module_that_says_the_same() -> None:
    text = module_text("9.9.0", "vllm 9.9.0", options())
    made: dict[str, str] = {}
    exec(compile(text, "table", "exec"), made)
    assert made["VERSION"] == "9.9.0"
    assert "switch: eager old" in made["KINDS"]
    assert "backend: fast None" in made["CHOICES"]
    assert '"auto": anything dtype log-words' in made["DEFAULTS"]
    assert made["DEPRECATED"] == "old: --old is deprecated. Use --new instead.\n"
    assert text == module_text("9.9.0", "vllm 9.9.0", dict(reversed(options().items())))


def test_the_listing_is_by_age() -> None:
    assert 'VERSIONS = ("0.9", "0.31")' in listing_text(["0.31", "0.9"])
