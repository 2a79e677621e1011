"""First contact: the command line that brings the agent to a host and runs one verb of it. Used by the ssh and the local
transport, which differ only in how bytes travel (`Exec`).

The password for sudo is sent only when sudo asks with the words we gave it; a second question means it was refused.
"""

import ast
import base64
import copy
import functools
import json
import secrets
import shlex
import time
import zlib
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Protocol

from deployer.errors import DeployerError, Unreachable
from deployer.spec.secrets import Secret
from deployer.transport.explain import explain
from deployer.transport.verb import Exec, VerbChannel

#: Seconds without a word from the host after which a verb that has not begun is given up.
SILENCE_S = 30.0
_MOST_NOISE = 64 * 1024

Passwords = Callable[[str], Secret | None]


class Archive(Protocol):
    """The agent's bytes, and the SHA-256 of them in hex."""

    @property
    def digest(self) -> str: ...

    def data(self) -> bytes: ...


class OurAgent:
    """The agent of this deployer."""

    @property
    def digest(self) -> str:
        from deployer.transport.archive import agent_digest

        return agent_digest()

    def data(self) -> bytes:
        from deployer.transport.archive import agent_archive

        return agent_archive()


@functools.cache
def _script() -> str:
    """`onhost.py` without its comments, as one line of Python."""
    tree = ast.parse((files("deployer.transport") / "onhost.py").read_text())
    tree.body = tree.body[1:]  # its docstring
    packed = base64.b64encode(zlib.compress(ast.unparse(tree).encode(), 9)).decode()
    # binascii, because base64 imports re, which costs a host 10 ms each time
    return f'import binascii,zlib;exec(zlib.decompress(binascii.a2b_base64("{packed}")))'


class FirstContact:
    """How one verb is begun on one host. `user` is the login; `sudo` whether it may become root that way."""

    def __init__(self, host: str, *, user: str, sudo: bool, passwords: Passwords, archive: Archive) -> None:
        self.host = host
        self._user = user
        self._sudo = user != "root"
        self._passwords = passwords
        self._archive = archive
        self._prompt = f"deployer-{secrets.token_hex(8)}:"
        self._asked = 0
        if self._sudo and not sudo:
            raise Unreachable(
                f"the agent needs root, and {user} may not use sudo (sudo: false)",
                where=host,
                hint="set `user: root`, or `sudo: true` and give the user the right to it",
                kind="sudo",
            )

    def again(self) -> "FirstContact":
        """For one more verb on the same host: with a prompt of its own, nothing asked yet."""
        fresh = copy.copy(self)
        fresh._prompt = f"deployer-{secrets.token_hex(8)}:"
        fresh._asked = 0
        return fresh

    def argv(self, verb: str) -> list[str]:
        """The command; English messages, so that what goes wrong can be told apart."""
        python = ["python3", "-I", "-c", _script(), self._archive.digest, verb]
        if self._sudo:
            return ["env", "LC_ALL=C", "sudo", "-S", "-p", self._prompt, "--", *python]
        return ["env", "LC_ALL=C", *python]

    def command(self, verb: str) -> str:
        """The same as one line that sh, csh and fish all read in the same way."""
        return shlex.join(self.argv(verb))

    def begin(self, running: Exec, request: Mapping[str, Any]) -> VerbChannel:
        """Brings the agent if it is missing, sends the request, and hands the verb over. Raises Unreachable."""
        try:
            rest = self._greet(running)
            channel = VerbChannel(self.host, running, rest)
            channel.send(request)
        except BaseException:
            running.close()
            raise
        return channel

    def _greet(self, running: Exec) -> bytes:
        """Waits for the agent's first words; returns what came after them."""
        out = err = b""
        heard = time.monotonic()
        while True:
            news = running.poll(1.0)
            out, err = out + news.out, self._answer_sudo(running, err + news.err)
            while b"\n" in out:
                line, _, out = out.partition(b"\n")
                if self._is_greeting(running, line.strip()):
                    return out
            if news.out or news.err:
                heard = time.monotonic()
            if news.ended:
                raise explain(self.host, self._user, running, out, err)
            if time.monotonic() - heard > SILENCE_S or len(out) > _MOST_NOISE:
                raise Unreachable(f"it did not start the agent within {SILENCE_S:.0f} s", where=self.host, kind="timeout")

    def _is_greeting(self, running: Exec, line: bytes) -> bool:
        """Other lines are a login script's; they are not for us."""
        if line == b"deployer-agent have":
            return True
        if line == b"deployer-agent need":
            data = zlib.compress(self._archive.data(), 6)
            running.write(b"%d\n" % len(data) + data)
            return True
        if line.startswith(b'{"type": "error", "stage": "bootstrap"'):
            said = json.loads(line)
            raise Unreachable(str(said["message"]), where=self.host, hint=said.get("hint"), kind="agent")
        return False

    def _answer_sudo(self, running: Exec, err: bytes) -> bytes:
        """Types the password when it is asked for; returns what is left of standard error."""
        prompt = self._prompt.encode()
        if prompt not in err:
            return err
        self._asked += 1
        if self._asked > 1:
            raise Unreachable(f"sudo refuses the password of {self._user}", where=self.host, kind="sudo")
        password = self._passwords(self.host)
        if password is None:
            raise Unreachable(
                f"sudo asks for the password of {self._user}, and there is none",
                where=self.host,
                hint="set DEPLOYER_SUDO_PASSWORD, or run the command in a terminal to be asked",
                kind="sudo",
            )
        if "\n" in password.reveal():
            raise DeployerError("the password for sudo holds a line break", where=self.host)
        running.write(password.reveal().encode() + b"\n")
        return err.partition(prompt)[2]
