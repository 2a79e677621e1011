"""References to secrets → their values, in a type that cannot leak by accident. Called by `app` when a secret must be written.

A value is never part of a spec, a plan, a log or an argument list: only `reveal()` gives it, at the place that sends it on stdin.
"""

import hmac
import os
import subprocess
from pathlib import Path
from typing import Any, NoReturn

from deployer.errors import Refused
from deployer.spec.models import SecretRef

BIGGEST = 64 * 1024  # bytes
COMMAND_DEADLINE_S = 60.0
_MASK = "•••"


class Secret:
    """A value that shows itself only when asked. Comparing takes the same time for every value."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself."""
        return self.__value

    def fingerprint(self, key: bytes) -> str:
        """A keyed digest (64 hexadecimal digits): shows that a value changed, and not what it is."""
        return hmac.new(key, self.__value.encode(), "sha256").hexdigest()

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.__value.encode(), other.__value.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash is a digest without a key

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: Any) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be stored")


def resolve(ref: SecretRef, root: Path) -> Secret | None:
    """The value, or None when it is not on this machine. `root` is the fleet: files and commands are relative to it.

    Raises Refused when it is there and cannot be used: an unreadable file, a command that fails.
    """
    if ref.env is not None:
        return _secret(os.environ.get(ref.env), ref)
    if ref.file is not None:
        return _from_file(ref, root / Path(ref.file).expanduser())
    return _from_command(ref, root)


def needed(ref: SecretRef, root: Path, *, where: str | None = None) -> Secret:
    """The value; Refused, with what to do, when it is absent. `where` is the file:line of the reference."""
    found = resolve(ref, root)
    if found is not None:
        return found
    if ref.env is not None:
        raise Refused(f"the secret {ref.id} must be written and is not set", where=where, hint=f"export {ref.env}=…")
    raise Refused(
        f"the secret {ref.id} must be written and is not there", where=where, hint="put it there, or change the reference"
    )


def _secret(value: str | None, ref: SecretRef) -> Secret | None:
    """Line ends after the value belong to its file, not to it. An empty value is no value."""
    if value is None or not value.rstrip("\r\n"):
        return None
    value = value.rstrip("\r\n")
    if "\0" in value or len(value.encode(errors="surrogateescape")) > BIGGEST:
        raise Refused(f"the secret {ref.id} holds a NUL or is larger than 64 KiB")
    return Secret(value)


def _from_file(ref: SecretRef, path: Path) -> Secret | None:
    try:
        if not path.exists():
            return None
        with path.open("rb") as stream:
            return _secret(stream.read(BIGGEST + 2).decode("utf-8"), ref)
    except OSError as error:
        raise Refused(f"the secret {ref.id} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"the secret {ref.id} is not text in UTF-8") from None


def _from_command(ref: SecretRef, root: Path) -> Secret | None:
    """Runs the command without a shell. What it prints is seen by nobody, on either stream."""
    argv = list(ref.command or ())
    try:
        done = subprocess.run(
            argv,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_DEADLINE_S,
            check=False,
        )
        value = done.stdout.decode("utf-8")
    except FileNotFoundError:
        raise Refused(f"the command of the secret {ref.id} is not there", hint=f"install {argv[0]}") from None
    except subprocess.TimeoutExpired:
        raise Refused(f"the command of the secret {ref.id} did not end within {COMMAND_DEADLINE_S:.0f} s") from None
    except UnicodeDecodeError:
        raise Refused(f"the secret {ref.id} is not text in UTF-8") from None
    except (OSError, ValueError) as error:
        raise Refused(
            f"the command of the secret {ref.id} cannot be run: {getattr(error, 'strerror', None) or 'bad argument'}"
        ) from None
    if done.returncode:
        raise Refused(f"the command of the secret {ref.id} failed with exit code {done.returncode}", hint=f"try: {argv[0]}")
    return _secret(value, ref)
