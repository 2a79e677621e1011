"""The command `deployer`: finds the command's module, runs it, and turns every error into a message and an exit code.

Nothing heavy is imported here: `deployer --help` must be there at once.
"""

import os
import sys
from collections.abc import Sequence

from deployer.cli.table import COMMANDS, find, overview
from deployer.errors import DeployerError, UsageError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code (see deployer/errors.py). Never raises, never shows a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for some reads every installed package
    try:
        return _run(words)
    except SystemExit as end:  # argparse: --help (0), a wrong option (64)
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; nothing more is done\n")
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 0
    except DeployerError as error:
        from deployer.cli.failing import show

        show(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  (a person never sees a traceback)
        from deployer.cli.failing import unexpected

        unexpected(error)
        return 1


def _run(words: list[str]) -> int:
    name, rest = _split(words)
    if name is None:
        if any(word in ("-V", "--version") for word in words):
            name, rest = "version", []
        elif any(word.startswith("--print-completion") for word in words):
            name, rest = "completion", [word for word in words if word != "--print-completion"]
        elif words and not {"-h", "--help"} & set(words):
            raise UsageError(f"{words[0]} is no option that stands alone", hint="deployer --help")
        else:
            sys.stdout.write(overview())
            return 0
    if name == "help":
        name, rest = (rest[0], ["--help"]) if rest else (None, [])
        if name is None:
            sys.stdout.write(overview())
            return 0
    if name not in COMMANDS:
        raise _unknown(name)
    module = find(name)
    from deployer.cli.arguments import parser_for

    rest, after = _before_dashes(rest)
    args = parser_for(name, module).parse_args(rest)
    args.after = after
    return module.run(args)


def _split(words: list[str]) -> tuple[str | None, list[str]]:
    """The command and the words for it; options that stood before it (`-C DIR`) are put behind."""
    skip = False
    for index, word in enumerate(words):
        if skip:
            skip = False
        elif word in ("-C", "--chdir", "--print-completion"):
            skip = word != "--print-completion"
            if word == "--print-completion":
                return None, words
        elif not word.startswith("-"):
            return word, [*words[:index], *words[index + 1 :]]
    return None, words


def _before_dashes(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands behind `--` belongs to somebody else (`lab ssh HOST -- COMMAND`) and is not read as options."""
    if "--" not in words:
        return words, []
    index = words.index("--")
    return words[:index], words[index + 1 :]


def _unknown(name: str) -> UsageError:
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, 1, 0.5)
    hint = f"did you mean deployer {close[0]}?" if close else "deployer --help lists the commands"
    return UsageError(f"there is no command {name}", hint=hint)


def _forget_stdout() -> None:
    """Who read our output is gone (`| head`): what is left in the buffer must not fail at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
