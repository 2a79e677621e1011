"""Where the request log goes: journald by its own socket, a file that is rotated, or a topic of Kafka."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import socket
import struct
from typing import Any

from deployer.handler.counters import Counters
from deployer.handler.journal import say
from deployer.handler.requestlog import LogConfig, Sink

JOURNAL = "/run/systemd/journal/socket"
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
FACILITY = 16  # local0: `deployer logs` tells an engine's own lines from these by it


def sink_of(config: LogConfig, counters: Counters) -> Sink:
    """Raises OSError or ImportError where the sink cannot be had."""
    if config.sink == "file":
        return FileSink(**config.file)
    if config.sink == "kafka":
        return KafkaSink(counters, **config.kafka)
    return JournalSink()


class JournalSink:
    """systemd's native protocol: fields that can be asked for, of any size."""

    def __init__(self, path: str = JOURNAL) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(path)

    def write(self, line: str, record: dict[str, Any]) -> None:
        fields = {
            "MESSAGE": line,
            "PRIORITY": "6",
            "SYSLOG_FACILITY": str(FACILITY),
            "SYSLOG_IDENTIFIER": "deployer-requests",
            "DEPLOYER_REQUEST_SCHEMA": str(record["schema"]),
            **{f"DEPLOYER_{name.upper()}": str(record[name]) for name in ("deployment", "replica", "id", "route", "status")},
        }
        data = b"".join(_field(name, value) for name, value in fields.items())
        try:
            self._socket.send(data)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_by_file(data)

    def _send_by_file(self, data: bytes) -> None:
        """What is larger than a datagram goes as a sealed file, as sd_journal_send does it."""
        handle = os.memfd_create("request-log", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            rest = data
            while rest:
                rest = rest[os.write(handle, rest) :]
            fcntl.fcntl(
                handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            )
            self._socket.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handle]))])
        finally:
            os.close(handle)

    def close(self, wait_s: float) -> None:
        self._socket.close()


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"


class FileSink:
    """JSON lines, 0640. Full at `size` bytes: the file becomes .1, that .2, at most `count` old ones. Two processes of one
    replica, an old and a new one, may write beside each other for a while.
    """

    def __init__(self, path: str, size: int = 64 << 20, count: int = 8) -> None:
        self._path, self._size, self._count = path, size, count
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._handle = self._open()

    def write(self, line: str, record: dict[str, Any]) -> None:
        if self._moved():
            self._again()
        if os.fstat(self._handle).st_size >= self._size:
            self._rotate()
        data = (line + "\n").encode("utf-8", "replace")
        while data:
            data = data[os.write(self._handle, data) :]

    def close(self, wait_s: float) -> None:
        os.close(self._handle)
        os.close(self._lock)

    def _open(self) -> int:
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        os.fchmod(handle, 0o640)  # whatever the umask is
        return handle

    def _again(self) -> None:
        fresh = self._open()
        os.close(self._handle)
        self._handle = fresh

    def _moved(self) -> bool:
        """Somebody else has rotated, or removed it."""
        try:
            return os.stat(self._path).st_ino != os.fstat(self._handle).st_ino
        except FileNotFoundError:
            return True

    def _rotate(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            if not self._moved():
                for number in range(self._count - 1, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
                os.replace(self._path, f"{self._path}.1")
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._again()


class KafkaSink:
    """librdkafka sends in threads of its own; what it cannot hold or deliver is counted. `more`: its settings, for tests."""

    def __init__(
        self,
        counters: Counters,
        servers: str,
        topic: str,
        tls: bool = False,
        username: str | None = None,
        password_file: str | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        from confluent_kafka import Producer  # only where it is wanted

        settings: dict[str, Any] = {
            "bootstrap.servers": servers,
            "client.id": "deployer-requests",
            "queue.buffering.max.messages": 10_000,
            "queue.buffering.max.kbytes": 65_536,
            "message.timeout.ms": 60_000,
            "linger.ms": 100,
            "log_level": 0,  # it would write to our standard error as often as it tries; `error_cb` tells once
            "compression.type": "gzip",
            "security.protocol": ("SASL_" if username else "") + ("SSL" if tls else "PLAINTEXT"),
            **(more or {}),
        }
        if username and password_file:
            with open(password_file, encoding="utf-8") as file:
                password = file.read().strip()
            settings |= {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": username, "sasl.password": password}
        self._counters, self._topic, self._failed = counters, topic, False
        self._producer = Producer(settings, error_cb=self._error)

    def write(self, line: str, record: dict[str, Any]) -> None:
        try:
            self._producer.produce(self._topic, line.encode("utf-8", "replace"), key=record["id"], on_delivery=self._delivered)
        except BufferError:
            self._counters.dropped["kafka_queue"] += 1
        self._producer.poll(0)

    def close(self, wait_s: float) -> None:
        left = self._producer.flush(wait_s)
        if left:
            self._producer.purge()
            self._producer.flush(1.0)  # each one tells that it was thrown away, and is counted
            say(f"request log: {left} records were not delivered to Kafka before the end")

    def _delivered(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._counters.dropped["kafka"] += 1

    def _error(self, error: Any) -> None:
        if not self._failed:
            self._failed = True
            say(f"request log: Kafka: {error.name()}")
