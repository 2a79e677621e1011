"""A replica's systemd unit as text. Called by engines.launch (for plan); the same spec gives the same bytes.

The first lines are comments that hold the fleet's id: by them the agent knows what is ours. [X-Deployer] says the same for
programs; systemd ignores sections that begin with "X-".
"""

from collections.abc import Mapping
from typing import NamedTuple

from deployer.agent import wire
from deployer.render import names, programs
from deployer.render.quote import unit_command, unit_environment, unit_line
from deployer.render.sandbox import APART, UNPRIVILEGED

PYTHON = "/usr/bin/python3"
CLAIMS = f"{wire.ROOT_RUN}/gpus"


class UnitSpec(NamedTuple):
    """Everything the text depends on; all placeholders are replaced.

    `credentials`: (name, path of the file on the host); `unit_files` are to be written as well. `memory` in bytes, `cpu` in
    cores. `gpus` are UUIDs: with some the unit sees the NVIDIA devices and claims them while it starts; without, it sees
    no device at all.
    """

    fleet: str
    fleet_id: str
    deployment: str
    slot: int
    runtime_digest: str
    argv: tuple[str, ...]
    port: int
    ready_path: str
    start_timeout_s: float
    stop_timeout_s: float
    stop_signal: str
    description: str | None = None
    env: Mapping[str, str] = {}  # one for all that have none: nobody writes to it
    credentials: tuple[tuple[str, str], ...] = ()
    gpus: tuple[str, ...] = ()
    memory: int | None = None
    cpu: float | None = None
    logs: bool = False  # it has a directory below /var/log
    talkative: bool = False  # journald takes every line

    @property
    def name(self) -> str:
        return names.unit_name(self.fleet, self.deployment, self.slot, self.runtime_digest)

    @property
    def directory(self) -> str:
        return names.unit_directory(self.fleet, self.deployment, self.slot, self.runtime_digest)


#: As runtimes were tried under systemd 252. No MemoryDenyWriteExecute: engines compile at run time.
_HARDENING = f"""\
{APART}\
{UNPRIVILEGED}\
CapabilityBoundingSet=
AmbientCapabilities=
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallFilter=mbind set_mempolicy get_mempolicy move_pages sched_setaffinity
SystemCallErrorNumber=EPERM
"""


def render_unit(spec: UnitSpec) -> str:
    parts = (_header(spec), _unit(spec), _service(spec), "[Install]\nWantedBy=multi-user.target\n")
    return "\n".join(parts)


def unit_files(spec: UnitSpec) -> tuple[tuple[str, str], ...]:
    """(path, content) of the programs that this unit runs beside its main process, 0600 root."""
    ready = (f"{spec.directory}/{programs.READY_FILE}", programs.READY)
    claim = (f"{spec.directory}/{programs.CLAIM_FILE}", programs.CLAIM)
    return (ready, claim) if spec.gpus else (ready,)


def _header(spec: UnitSpec) -> str:
    return (
        f"# Made by deployer for fleet {spec.fleet}, id {spec.fleet_id}.\n"
        "# What is changed by hand here is shown as drift and put back.\n"
        "[X-Deployer]\n"
        f"Fleet={spec.fleet}\n"
        f"FleetId={spec.fleet_id}\n"
        f"Deployment={spec.deployment}\n"
        f"Slot={spec.slot}\n"
        f"RuntimeDigest={spec.runtime_digest}\n"
    )


def _unit(spec: UnitSpec) -> str:
    about = f": {spec.description}" if spec.description else ""
    after = "network.target nvidia-persistenced.service" if spec.gpus else "network.target"
    return (
        "[Unit]\n"
        f"Description={unit_line(f'deployer {spec.fleet} {spec.deployment}/{spec.slot}{about}')}\n"
        f"After={after}\n"
        "StartLimitIntervalSec=30min\n"
        "StartLimitBurst=4\n"
    )


def _service(spec: UnitSpec) -> str:
    ready = unit_command((PYTHON, "-I", f"{spec.directory}/{programs.READY_FILE}", str(spec.port), spec.ready_path))
    environment = [f"Environment={unit_environment(name, value)}" for name, value in sorted(spec.env.items())]
    lines = [
        "[Service]",
        "Type=exec",
        "DynamicUser=yes",
        f"User={names.user_name(spec.fleet_id, spec.deployment)}",
        f"CacheDirectory={names.cache_directory(spec.fleet, spec.deployment, spec.slot)}",
        *_logs(spec),
        f"SyslogIdentifier={spec.name.removesuffix('.service')}",
        *[f"LoadCredential={name}:{path}" for name, path in spec.credentials],
        *environment,
        *_claims(spec),
        f"ExecStart={unit_command(spec.argv)}",
        # "!": in the sandbox, but able to read a file of root's; a credential is there for the main process only
        f"ExecStartPost=!{ready}",
        # an engine may end with exit code 0 when it dies, so "on-failure" would not bring it back
        "Restart=always",
        "RestartSec=5",
        "KillMode=mixed",
        f"KillSignal={spec.stop_signal}",
        f"TimeoutStartSec={spec.start_timeout_s:g}",
        f"TimeoutStopSec={spec.stop_timeout_s:g}",
        "LimitNOFILE=65536",
        *_devices(spec),
        *_limits(spec),
    ]
    return "\n".join(lines) + "\n" + _HARDENING


def _logs(spec: UnitSpec) -> list[str]:
    directory = names.logs_directory(spec.fleet, spec.deployment, spec.slot)
    lines = [f"LogsDirectory={directory}", "LogsDirectoryMode=0750"] if spec.logs else []
    return [*lines, *(["LogRateLimitIntervalSec=0"] if spec.talkative else [])]


def _claims(spec: UnitSpec) -> list[str]:
    if not spec.gpus:
        return []
    claim = (PYTHON, "-I", f"{spec.directory}/{programs.CLAIM_FILE}", CLAIMS, spec.name, *spec.gpus)
    return [
        # makes /dev/nvidia-uvm after a boot; "-": not there on every host
        "ExecStartPre=-+/usr/bin/nvidia-modprobe -u -c=0",
        f"ExecStartPre=+{unit_command(claim)}",
    ]


def _devices(spec: UnitSpec) -> list[str]:
    if not spec.gpus:
        return ["PrivateDevices=yes"]
    return ["DevicePolicy=closed", "DeviceAllow=char-nvidia* rw", "LimitMEMLOCK=infinity"]


def _limits(spec: UnitSpec) -> list[str]:
    lines = [f"MemoryMax={spec.memory}"] if spec.memory is not None else []
    if spec.cpu is not None:
        lines.append(f"CPUQuota={max(1, round(spec.cpu * 100))}%")
    return lines
