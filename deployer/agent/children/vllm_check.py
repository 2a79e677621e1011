"""vLLM's own judgement of its options, before it is started: its parser, then its configuration, for which the model's
config.json is enough. Run by `engine.check` with the Python of vLLM's environment; the options come on standard input, as
the file that vLLM will be given. The last line says {"wrong": text} or {"unknown": why it could not be told}; nothing when
all is well.

Six to eleven seconds, almost all of them the import of vLLM. Tried with 0.32.0.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from importlib import import_module
from typing import Optional


def main() -> int:
    text = sys.stdin.read()
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            wrong = _wrong(text, said)
    except Exception as error:  # noqa: BLE001  (what this cannot tell, the engine's start will)
        return _say("unknown", "%s: %s" % (type(error).__name__, error))
    return _say("wrong", wrong) if wrong else 0


def _wrong(text: str, said: io.StringIO) -> Optional[str]:
    command = import_module("vllm.entrypoints.cli.serve").cmd_init()[0]
    parser = import_module("vllm.utils.argparse_utils").FlexibleArgumentParser()
    engine_args = import_module("vllm.engine.arg_utils").AsyncEngineArgs
    command.subparser_init(parser.add_subparsers())
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "args.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            args = parser.parse_args(["serve", "--config", path])
        except SystemExit:
            return _last(said.getvalue())  # an empty text would say that all is well
    try:
        command.validate(args)
        engine_args.from_cli_args(args).create_engine_config()
    except (KeyError, TypeError, ValueError) as error:
        said_so = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        return _first(said_so) or type(error).__name__
    return None


def _last(text: str) -> str:
    """What argparse says at its end, without the program's name."""
    lines = [line.strip() for line in text.splitlines() if ": error: " in line] or text.strip().splitlines()[-1:] or [""]
    wrong = lines[-1].rpartition(": error: ")[2]
    if not wrong:
        raise RuntimeError("its parser ended without a word")
    return wrong


def _first(text: str) -> str:
    """pydantic's words are on the third line, and end with where to read more."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "further information" not in line]
    said = " ".join(lines[1:] if lines and "validation error" in lines[0] else lines)
    return said.partition(" [type=")[0].replace("Value error, ", "", 1)[:600]


def _say(word: str, text: str) -> int:
    print(json.dumps({word: text}))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
