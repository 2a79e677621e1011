"""The password for sudo, asked once per command and only when a host wants it. Given to the transport; never in argv."""

import os
import threading
from collections.abc import Callable

from deployer.spec.secrets import Secret

ENVIRONMENT = "DEPLOYER_SUDO_PASSWORD"


class Passwords:
    """`ask(prompt)` reads it from a person; None where there is nobody to ask (then only the environment counts)."""

    def __init__(self, ask: Callable[[str], str] | None = None) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._value: Secret | None = None
        self._asked = False

    def sudo(self, host: str) -> Secret | None:
        """The password, or None when there is none to be had. Thread-safe: many hosts ask, a person answers once."""
        with self._lock:
            if not self._asked:
                self._asked = True
                value = os.environ.get(ENVIRONMENT)
                if value is None and self._ask is not None:
                    value = self._ask(f"sudo password (first asked by {host}): ")
                self._value = Secret(value) if value else None
            return self._value
