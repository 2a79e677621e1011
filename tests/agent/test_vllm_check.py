"""The script that asks vLLM, against a stand-in for the parts of vLLM that it calls; what vLLM 0.32.0 really says is quoted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deployer.agent.steps.model import child

STAND_IN = {
    "vllm/entrypoints/cli/serve.py": """
class Serve:
    def subparser_init(self, subparsers):
        parser = subparsers.add_parser("serve")
        parser.add_argument("--config")
        parser.add_argument("--known")
        return parser
    def validate(self, args):
        pass
def cmd_init():
    return [Serve()]
""",
    "vllm/utils/argparse_utils.py": """
import argparse
class FlexibleArgumentParser(argparse.ArgumentParser):
    def parse_args(self, args=None, namespace=None):
        text = open(args[args.index("--config") + 1]).read()
        more = [word for line in text.splitlines() for word in ("--" + line.split(": ")[0], line.split(": ")[1])]
        return super().parse_args([*args, *more], namespace)
""",
    "vllm/engine/arg_utils.py": """
class AsyncEngineArgs:
    @classmethod
    def from_cli_args(cls, args):
        cls.known = args.known
        return cls()
    def create_engine_config(self):
        print("INFO: noise on the way")
        raises = {
            "value": ValueError("1 validation error for ModelConfig\\n  Value error, max_model_len (9) is too much "
                "[type=value_error, input_value=9]\\n    For further information visit https://errors.example"),
            "key": KeyError("Reasoning parser 'nonsense' not found. Available parsers: qwen3"),
            "device": RuntimeError("no device"),
        }
        if self.known in raises:
            raise raises[self.known]
""",
}


def ask(*words: str, text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *words], input=text, capture_output=True, text=True, check=True, timeout=60)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("known: fine\n", None),
        ("no-such: 1\n", {"wrong": "unrecognized arguments: --no-such 1"}),
        ("known: value\n", {"wrong": "max_model_len (9) is too much"}),
        ("known: key\n", {"wrong": "Reasoning parser 'nonsense' not found. Available parsers: qwen3"}),
        ("known: device\n", {"unknown": "RuntimeError: no device"}),
    ],
)
def test_a_no_is_told_from_what_cannot_be_told(tmp_path: Path, text: str, said: dict[str, str] | None) -> None:
    for name, source in STAND_IN.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    begin = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); "
    done = ask("-c", begin + f"runpy.run_path({child('vllm_check.py')!r}, run_name='__main__')", text=text)
    lines = done.stdout.splitlines()
    assert [json.loads(line) for line in lines] == ([said] if said is not None else [])


def test_without_vllm_nothing_is_told() -> None:
    done = ask("-I", child("vllm_check.py"), text="")
    assert "ModuleNotFoundError" in json.loads(done.stdout)["unknown"]
