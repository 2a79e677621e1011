"""The one seam between the agent and its machine: files below a root, programs, HTTP on loopback, the clock.

Everything that has an effect goes through a `System`, so that tests and the fake transport run the same agent over a
temporary root with simulated services.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from deployer.agent.plain import plain

OUTPUT_LIMIT = 1 << 20  # bytes of a program's output that are kept: its end
POLL_S = 0.1


class Done(NamedTuple):
    """How a program ended. `rc` is negative for a signal."""

    rc: int
    out: bytes
    err: bytes

    @property
    def lines(self) -> List[str]:
        """Both outputs as plain text lines without the empty ones, standard error last."""
        text = plain((self.out + b"\n" + self.err).decode("utf-8", "replace"))
        return [line.rstrip() for line in text.split("\n") if line.strip()]


class TooLong(Exception):
    """A program ran past its time and was killed. `log`: the end of what it said."""

    def __init__(self, program: str, seconds: float, log: List[str]) -> None:
        super().__init__("%s took longer than %.0f s" % (os.path.basename(program), seconds))
        self.log = log


class Silent(Exception):
    """systemd could not be asked. What it has may be there and run all the same: nothing is concluded from it."""

    hint = "on the host: systemctl is-system-running, journalctl -b _PID=1; a systemd that hangs for good needs a reboot"


class System:
    """A machine. `root` is put before every path of the host; "/" on a real one."""

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")

    def path(self, path: str) -> str:
        """Where a path of the host really lies."""
        return self.root + path

    def uid(self) -> int:
        return os.geteuid()

    def user(self) -> str:
        import pwd

        try:
            return pwd.getpwuid(self.uid()).pw_name
        except KeyError:
            return str(self.uid())

    def uname(self) -> Tuple[str, str, str, str]:
        """Host name, kernel, architecture, glibc version ("2.36", or "" where there is none)."""
        u = os.uname()
        try:
            libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").rpartition(" ")[2]
        except (ValueError, OSError):
            libc = ""
        return u.nodename, u.release, u.machine, libc

    def disk(self, path: str) -> Tuple[int, int]:
        """(total, free) bytes of the file system of a path of the host, or of its nearest parent that is there."""
        found = os.statvfs(self._nearest(path))
        return found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail

    def device(self, path: str) -> int:
        """A number of the file system of a path, the same for all paths on it."""
        return os.stat(self._nearest(path)).st_dev

    def _nearest(self, path: str) -> str:
        real = self.path(path)
        while not os.path.exists(real) and real not in ("", "/"):
            real = os.path.dirname(real)
        return real or "/"

    def gpus(self) -> Dict[str, Any]:
        """What NVML says: {"gpus", "gpu_links", "gpu_error", "driver", "cuda"}."""
        from deployer.agent.facts import nvml

        return nvml.read(self)

    def gpu_reader(self) -> Callable[[], List[Dict[str, Any]]]:
        """For who reads again and again: each call of what is returned says the GPUs as they are (see nvml.Reader)."""
        from deployer.agent.facts import nvml

        return nvml.Reader(self).read

    def environ(self) -> Dict[str, str]:
        return dict(os.environ)

    def chown(self, path: str, owner: str) -> None:
        """`owner` is "user" or "user:group"; `path` a path of the host."""
        import shutil

        user, _, group = owner.partition(":")
        if self.uid() == 0:
            shutil.chown(self.path(path), user, group or None)

    def intact(self, path: str, digest: str, progress: Optional[Callable[[int], None]] = None) -> bool:
        """Whether a file's content is what its digest says (see files.matches)."""
        from deployer.agent import files

        return files.matches(self, path, digest, progress)

    def sync(self) -> None:
        """Everything written so far is on the disk."""
        os.sync()

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def clock(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for something on the host: an engine, a program."""
        time.sleep(seconds)

    def pause(self, seconds: float) -> None:
        """Wait for the controller: a barrier, a blob, a follower."""
        time.sleep(seconds)

    def beat(self, seconds: float) -> None:
        """Wait for the next look of somebody who watches."""
        time.sleep(seconds)

    def http(
        self, method: str, url: str, headers: Optional[Dict[str, str]] = None, body: Optional[bytes] = None, timeout: float = 10.0
    ) -> Tuple[int, bytes]:
        """Status and body. Proxies are not asked: this is for services on this host. Raises OSError."""
        import http.client
        import ssl
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            # the certificate is made for the name that clients use, not for loopback
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        try:
            connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(OUTPUT_LIMIT)
        except http.client.HTTPException as error:
            raise OSError("%s: %s" % (type(error).__name__, error)) from error
        finally:
            connection.close()

    def head(self, url: str, headers: Dict[str, str], env: Dict[str, str], timeout: float) -> int:
        """The status of an address outside, by way of the proxy and the certificates that `env` names. Raises OSError."""
        from deployer.agent.outside import head

        return head(url, headers, env, timeout)

    def ask_socket(self, path: str, line: str, timeout: float = 5.0) -> bytes:
        """What a service says to one line on its socket. Raises OSError."""
        import socket

        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(self.path(path))
            client.sendall(line.encode() + b"\n")
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(1 << 16), b""))

    def run(
        self,
        argv: Sequence[str],
        *,
        input: Optional[bytes] = None,
        timeout: Optional[float] = None,
        env: Optional[Dict[str, str]] = None,
        tick: Optional[Callable[[], None]] = None,
    ) -> Done:
        """Run a program to its end. `tick` is called while it runs; an exception of it ends the program with all its
        children and is raised here. Raises TooLong, and OSError when the program cannot be started.
        """
        process = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True
        )
        _ordinary_to_the_oom_killer(process.pid)
        tails = [_Tail(process.stdout), _Tail(process.stderr)]
        feeder = threading.Thread(target=_feed, args=(process.stdin, input or b""), daemon=True)
        feeder.start()
        end = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                try:
                    process.wait(POLL_S if tick or end is not None else None)
                    break
                except subprocess.TimeoutExpired:
                    if tick is not None:
                        tick()
                if end is not None and time.monotonic() > end:
                    raise TimeoutError
        except BaseException as error:
            _kill_group(process)
            if isinstance(error, TimeoutError):
                raise TooLong(argv[0], timeout or 0.0, Done(0, *[t.text() for t in tails]).lines[-40:]) from None
            raise
        return Done(process.returncode, *[t.text() for t in tails])

    def stream(self, argv: Sequence[str], idle_s: float = 1.0) -> Iterator[Optional[bytes]]:
        """The lines a program writes, as they come; None when there was none for `idle_s`. Closing ends the program."""
        import selectors

        process = subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        rest = b""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                while True:
                    if not selector.select(idle_s):
                        yield None
                        continue
                    data = os.read(process.stdout.fileno(), 1 << 16)
                    if not data:
                        break
                    *lines, rest = (rest + data).split(b"\n")
                    yield from lines
            if rest:
                yield rest
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class _Tail:
    """The end of what a pipe brings, read by a thread so that no program waits for us."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._data = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream as stream:
            while True:
                data = stream.read1(1 << 16)
                if not data:
                    return
                self._data = (self._data + data)[-OUTPUT_LIMIT:]

    def text(self) -> bytes:
        self._thread.join(2.0)  # a grandchild may hold the pipe open
        return self._data


def _feed(stream: Any, data: bytes) -> None:
    try:
        with stream:
            stream.write(data)
    except OSError:
        pass  # it ended without reading; its exit status says why


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    import signal

    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ordinary_to_the_oom_killer(pid: int) -> None:
    """The agent is protected from it; what it starts (a converter, uv) must not be."""
    try:
        with open("/proc/%d/oom_score_adj" % pid, "w") as file:
            file.write("0")
    except OSError:
        pass
