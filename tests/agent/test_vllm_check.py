"""The script that asks vLLM, against a stand-in for the parts of vLLM that it calls; what vLLM 0.32.0 really says is quoted."""

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from deployer.agent.children import child
from deployer.agent.main import serve
from deployer.agent.system import System
from deployer.agent.talk import Talk
from tests.agent.support import FLEET

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
        if text == "known: mute\\n":
            raise SystemExit(2)
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
        ("known: mute\n", {"unknown": "RuntimeError: its parser ended without a word"}),
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


def judge(system: System, talk: Talk, **told: Any) -> int:
    question = {"key": "ab" * 12, "checker": "vllm", "env": "/env", "text": "x: 1\n", "environ": {}, **told}
    request = json.dumps({"fleet": FLEET, "questions": [question]}).encode() + b"\n"
    talk._in = BytesIO(request)
    return serve(system, "judge", talk)


def program(tmp_path: Path, text: str) -> System:
    python = tmp_path / "env/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{text}\n")
    python.chmod(0o755)
    return System(str(tmp_path))


def test_a_question_for_a_plan_leaves_nothing_behind(tmp_path: Path) -> None:
    system = program(tmp_path, 'touch "$HOME/left"; cat >"$HOME/given"; echo "{\\"wrong\\": \\"$HOME $*\\"}"')
    before, out = sorted(tmp_path.rglob("*")), BytesIO()
    assert judge(system, Talk(BytesIO(), out)) == 0
    [said, _] = [json.loads(line) for line in out.getvalue().splitlines()]
    home, *argv = said["said"].split()
    assert (said["state"], argv) == ("wrong", ["-I", "-B", child("vllm_check.py")])
    assert not Path(home).exists()
    assert sorted(tmp_path.rglob("*")) == before


def test_who_hangs_up_ends_the_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.agent.judge.TICK_S", 0.0)
    tried: list[str] = []

    class Gone(BytesIO):
        def write(self, line: Any) -> int:
            tried.append(json.loads(line)["type"])
            raise BrokenPipeError

    assert judge(program(tmp_path, "exec sleep 60"), Talk(BytesIO(), Gone())) == 0
    assert tried == ["tick"], "it does not wait for the program to say that nobody listens"


def test_a_key_that_is_a_path_is_refused(tmp_path: Path) -> None:
    out = BytesIO()
    assert judge(program(tmp_path, "true"), Talk(BytesIO(), out), key="../../etc/x") == 1
    assert "is not the key of a check" in json.loads(out.getvalue())["message"]
