"""The words that controller and agent exchange. With `plain` and `packed`, all of the agent that the controller imports.

One SSH exec carries one verb. Standard input: one JSON line (the request), then whatever the verb says. Standard
output: JSON lines; the last one has `type` "end" or "error". A request always holds `fleet` {"id", "name"}.

    probe     in  ProbeRequest                        out {"type": "probe", ...Probe}
    put       in  {"blobs": [{"sha256", "size"}]}     out per blob {"type": "want", "sha256", "offset"}: send size - offset
                                                          raw bytes, or {"type": "have"}; then {"type": "stored"}
              "run", "copy": {"digest", "files"          what a `model.copy` of that run waits for: the files that the
                  or "error", "hint", "here"}             giver says, or why they will not come: "here" when what
                                                          came cannot be kept
    give      in  {"path", "digest"}                      out {"type": "gives", "files"} of a complete model; with "file"
                                                          and "offset" {"type": "giving", "size"}, then so many raw bytes
    start     in  RunRequest (one line), then as attach   starts the run under systemd-run and follows it
    attach    in  {"run", "offset"}; then lines           out events from that byte of the journal on, each with "offset":
                  {"open": stage, "data": {...}}          the byte after it, where a later attach goes on; the report is
                  | {"stop": true} | {"detach": true}     the last event. {"type": "tick"} now and then: nothing happened;
                  | {"pause": true} | {"resume": true}    it is answered with "here": a barrier's deadline counts from the
                  | {"here": true}                        last word of the controller
    logs      in  {"units", "lines", "follow", "since"}   out {"type": "log", "unit", "at", "text"}; "requests": the records of
                                                          requests in the journal, "logged": all but these, "files": {unit:
                                                          "chat/0"} those in files
    watch     in  WatchRequest; then lines                out {"type": "sample", ...Sample} every `every_s` seconds, until the
                  {"here": true}                          controller hangs up or has not said "here" for a minute (or for
                                                          30 samples); {"type": "tick"} in between when samples are rare
    roster    in  {"roster": {...}}                       writes it when its generation is higher than what is there; says
                                                          whether the holds that are there now are the ones that it brought
    runs      in  {}                                      out {"type": "runs", "runs": [...]}
    unit      in  {"unit"}                                out {"type": "unit", ...ForeignUnit}: what a unit of others starts
    reach     in  {"ways": [Way], "proxy", "ca",          out {"type": "reach", "ways": [Answer]}: which addresses answer
                  "timeout_s"}                                from here, asked side by side
    judge     in  {"questions": [Question], "timeout_s"}  out {"type": "judged", ...Judged} for each: what an engine says of
                                                          options; {"type": "tick"} meanwhile; leaves nothing on the host

What a barrier is opened with reaches the steps behind it: {"certificates": {host: PEM}} of the other hosts in the apply, for
`gateway.peers`. {"halt": [deployments]} names those that failed elsewhere: what of them has begun here is undone, what has not
is left out. A stage that `barriers` does not name is not waited for, nor one in which the run has nothing to do.

A paused run begins no new step; what runs is finished, undoing is never held up, a stop ends it. When the controller has
given no word for the deadline of the stage's barrier, the run goes on as if it were resumed: what it does was approved, a
host in the middle of it serves nobody, and its lock would keep everybody else out. The next barrier then waits as it always
does, and what its silence means is in the plan.
"""

from typing import Any, Dict, List, Optional, Tuple, TypedDict  # noqa: UP035  (Python 3.9 on hosts)

VERSION = 1

NVLINK = 0  # in Probe.gpu_links

ROOT_ENGINES = "/opt/deployer/engines"
ROOT_MODELS = "/var/lib/deployer/models"
ROOT_BLOBS = "/var/lib/deployer/blobs"  # incoming, by sha256, partial ones end in .part
ROOT_AGENT = "/var/lib/deployer/agent"
ROOT_RUNS = "/var/lib/deployer/runs"  # <run>/request.json (no secret), journal.jsonl, undo/
ROOT_STATE = "/var/lib/deployer"  # <fleet>/roster.json, <fleet>/<deployment>/…
ROOT_ETC = "/etc/deployer"  # <fleet>/…
ROOT_CACHE = "/var/cache/deployer"  # uv's, <fleet>/…
ROOT_CACHE_PRIVATE = "/var/cache/private/deployer"  # where systemd really keeps the caches of dynamic users
ROOT_LOGS = "/var/log/deployer"  # <fleet>/<deployment>/<slot>/requests.jsonl
ROOT_LOGS_PRIVATE = "/var/log/private/deployer"  # as with caches
ROOT_RUN = "/run/deployer"
UNITS = "/etc/systemd/system"
UNIT = "deployer-"  # how the name of each of our units begins, of every fleet
RUN_UNIT = UNIT + "run-"  # of a run's transient one
LOCK = "/run/deployer/lock"
PACKAGE_NOTES = ROOT_STATE + "/packages.json"  # which packages we brought, and what came along
MARKER = ".deployer.json"  # in an artifact's directory; the artifact is complete only when it is there
FLEET_FILE = "fleet.json"  # in ROOT_STATE/<fleet>: {"id", "name"}, whose directory this is
#: A unit or another rendered file is a fleet's own when one of its first ten lines is a comment that holds the fleet's id.
HEADER_LINES = 10

#: Packages of the operating system that a probe tells of, and so the ones that a plan can bring.
PACKAGES = ("haproxy", "gcc", "g++", "python3-dev", "libnuma1")

#: What `canary.watch` says of a canary that is no worse, as "verdict" in its progress; "few" when it cannot say.
CANARY_GOOD = "good"

#: Barriers inside a run, in this order. A stage's steps run once its barrier is open. All but the first two come again in
#: every further wave of a rollout, as "drain-2", "switch-2", "gateway-2", "finish-2".
STAGES = ("artifacts", "copies", "drain", "switch", "gateway", "finish")
#: Those that come before all waves: what is made on a host, and what is copied from hosts that made it.
ONCE = STAGES[:2]


def stage_in(wave: int, stage: str) -> str:
    """The name of a stage in a wave; waves count from 1."""
    return stage if wave == 1 else "%s-%d" % (stage, wave)


def stage_rank(stage: str) -> Tuple[int, int]:
    """Where a stage comes among all stages: (wave, place in the wave). What nobody knows comes last."""
    kind, _, number = stage.partition("-")
    if kind not in STAGES or not (number.isdigit() or not number):
        return (1 << 30, 0)
    return (0 if kind in ONCE else int(number or 1), STAGES.index(kind))


def deployment_of(transaction: str) -> Optional[str]:
    """Whose transaction it is by its id: "chat" and "chat~2" are chat's, "model:org/name" is nobody's."""
    name = transaction.partition("~")[0]
    return None if ":" in name or " " in name else name


class Fleet(TypedDict):
    id: str
    name: str


class ProbeRequest(TypedDict, total=False):
    fleet: Fleet
    paths: Dict[str, str]  # "models", "engines": where this host keeps them when not in the usual place
    ports: List[int]  # [first, last] of the host's range
    host_paths: List[str]  # model directories that are said to be there already
    verify: bool  # read artifact digests again
    gpus: bool
    history: List[str]  # deployments whose revisions are wanted whole, with their resources


class Gpu(TypedDict, total=False):
    index: int
    uuid: str
    name: str
    memory_total: int  # bytes
    memory_used: int
    utilization: Optional[int]  # percent
    temperature: Optional[int]
    capability: Optional[str]  # "9.0"
    mig: bool  # cut up by MIG: used only through its slices, which are listed behind it
    slice: int  # of a MIG slice: which of its GPU; "index" is the GPU's
    parent: str  # of a MIG slice: the UUID of its GPU
    processes: List[Dict[str, Any]]  # {"pid", "memory", "unit"}


class Artifact(TypedDict, total=False):
    path: str
    kind: str  # a resources.ARTIFACTS value
    name: str
    digest: str
    bytes: int
    complete: bool
    verified: Optional[bool]  # None: not asked
    fleets: List[str]  # ids of fleets whose records use it


class Unit(TypedDict, total=False):
    name: str
    active: str  # ActiveState
    sub: str
    result: str
    exit_status: int
    restarts: int
    since: Optional[str]  # ISO 8601, UTC
    pid: int
    enabled: bool
    memory: Optional[int]  # bytes; None where systemd does not count
    dropins: List[str]


class Record(TypedDict, total=False):
    """What was applied for one deployment on this host: /var/lib/deployer/<fleet>/<deployment>/current.json"""

    deployment: str
    revision: int
    at: str
    who: str
    why: Optional[str]
    git_commit: Optional[str]
    protected: bool
    resources: List[Dict[str, Any]]  # resource_json of plan/record.py
    secrets: Dict[str, str]  # reference → keyed fingerprint


class Boot(TypedDict, total=False):
    """What the next boot brings, and what only a boot would bring. A host that does not say lacks the key."""

    uptime_s: float
    kernel_newest: str  # the newest that is installed with its modules
    kernel_gone: bool  # the modules of the running one are not there any more, those of others are
    nvidia_loaded: str  # version of the driver's module in the kernel
    nvidia_installed: str  # version of the driver's library on the disk
    nvidia_module: bool  # the newest kernel has a module of the driver


class Probe(TypedDict, total=False):
    at: str
    hostname: str
    machine_id: str
    boot_id: str
    os: str
    arch: str
    glibc: str
    kernel: str
    systemd: int
    python: List[str]  # versions found, e.g. "3.11.2"; first is /usr/bin/python3
    user: str
    cpus: int
    cpu_vendor: str  # as /proc/cpuinfo has it: "GenuineIntel"; "" where it says none
    memory_total: int
    memory_available: int
    disks: Dict[str, Dict[str, int]]  # path → {"total", "free"}
    devices: Dict[str, int]  # of the same paths: equal numbers are one file system
    boot: Boot
    gpus: List[Gpu]
    gpu_links: List[List[int]]  # [index, index, way] of each two: NVLINK, or NVML's level of what they share, 10 (near) to 50
    gpu_error: Optional[str]
    driver: Optional[str]
    cuda: Optional[str]
    listening: List[Dict[str, Any]]  # {"port", "address", "unit"}
    packages: Dict[str, Optional[str]]  # name → version
    brought: List[str]  # the packages that we installed
    artifacts: List[Artifact]
    units: List[Unit]  # only this fleet's
    foreign_units: List[str]  # deployer-* names without our marker
    other_fleets: List[Dict[str, Any]]  # {"id", "name", "ports", "gpus", "shares"}
    files: Dict[str, str]  # path → sha256, of this fleet's files in /etc, its units and their drop-ins
    unreadable: List[str]  # paths that are there but could not be read: unknown is not absent
    records: Dict[str, Record]  # deployment → current
    history: Dict[
        str, List[Dict[str, Any]]
    ]  # deployment → revisions, newest last; "paths" of artifacts for resources unless asked for
    failures: Dict[str, Dict[str, Any]]  # deployment → first failure kept {"at", "cause", "hint", "log", "revision"}
    #: deployment → its last starts, oldest first: {"at", "revision", "start_s", "down_s", "engine", "environment", "model",
    #: "memory"}; "down_s" only where the old one stopped first; "memory": {"key", "context", "usable"} of the plan, and what the
    #: engine said ("weights", "cache" in bytes, "tokens", "concurrency") and held ("host", "gpu" in bytes)
    starts: Dict[str, List[Dict[str, Any]]]
    roster: Optional[Dict[str, Any]]  # between hosts and controller as agent.packed makes it: all hosts of a fleet have the same
    name_conflict: Optional[str]  # id of another fleet that has our name here
    lock: Optional[Dict[str, Any]]  # who holds it: {"run", "who", "since", "doing", "fleet"}
    #: {"run", "who", "since", "stage", "deployments", "alive"}; of one that is alive also "starting": unit → {"phase", "since"},
    #: and while it converts a model "converting": {"phase", "since", "deployments"}
    unfinished: List[Dict[str, Any]]
    peer: Dict[str, Any]  # "certificate": this host's own, for other gateways; "known": {host: digest} of those it trusts
    secret_key: Optional[str]  # hex; a secret: never leaves memory
    host_paths: Dict[str, Optional[Dict[str, Any]]]  # path → {"files": {name: size}} or None
    fingerprint: str  # FINGERPRINT_PARTS, 12 hex digits each, joined by "-"; equal when nothing that a plan rests on moved


#: What a fingerprint is made of, in this order, so that a stale plan can say what moved.
FINGERPRINT_PARTS = ("units", "files", "records", "artifacts", "runs", "holds", "roster")


class WatchRequest(TypedDict, total=False):
    fleet: Fleet
    every_s: float
    gpus: bool
    units: List[str]  # only these; left out: all of the fleet's replicas


class Sample(TypedDict, total=False):
    at: float  # seconds on the host's steady clock
    gpus: List[Dict[str, Any]]  # Gpu: uuid, index, name, memory_total, memory_used, utilization, temperature
    units: List[Dict[str, Any]]  # {"unit", "replica", "active", "phase", "figures"}, see agent/watch.py
    memory_total: int
    memory_available: int
    load: Optional[float]  # of one minute, per CPU
    standing: str  # changes when something that a status or a plan rests on may have changed


class Way(TypedDict, total=False):
    id: str
    url: str  # asked with HEAD; name and password in it go by header. Empty: the index that the host's environment names
    token: Optional[str]  # as a bearer; a secret


class Answer(TypedDict, total=False):
    id: str
    #: "ok", "unasked" (no address), "socks" (through such a proxy, not asked), "refused" (a status of 400 or more), "name",
    #: "timeout", "tls", "proxy", "connect"
    state: str
    status: Optional[int]
    ms: int
    message: str


class Question(TypedDict, total=False):
    key: str
    checker: str  # as `engine.check` is told
    env: str
    text: str
    environ: Dict[str, str]


class Judged(TypedDict, total=False):
    key: str
    state: str  # "well", "wrong", "unknown" (it could not say), "late" (no time was left for it)
    said: str


class ForeignUnit(TypedDict, total=False):
    unit: str
    files: List[str]  # its file and its drop-ins
    active: bool
    enabled: bool
    argv: List[str]  # variables filled in; what looks like a secret is hidden
    config: Optional[Dict[str, Any]]  # of our own CTranslate2 server
    user: Optional[str]
    variables: List[str]  # names only
    values: Dict[str, str]  # of the variables that say which GPUs
    secrets: List[str]  # names of variables and arguments that look like secrets
    other: List[str]  # what else [Service] says


class Step(TypedDict, total=False):
    id: str
    stage: str
    kind: str  # a key of agent/steps.py STEPS
    change: str  # id of the plan's change it belongs to
    label: str  # for people: "model Llama-3.1-8B-Instruct"
    args: Dict[str, Any]
    timeout_s: float


class Transaction(TypedDict, total=False):
    """Steps that stand or fall together: when one fails, the ones that were done are undone in reverse."""

    id: str
    deployment: Optional[str]
    wave: int  # of its rollout; left out: the first
    needs: List[str]  # ids of transactions that must have succeeded
    steps: List[Step]


class RunRequest(TypedDict, total=False):
    wire: int
    run: str
    plan: str
    fleet: Fleet
    host: str
    who: str
    why: Optional[str]
    git_commit: Optional[str]
    fingerprint: str  # of the probe that was planned on; refused when it differs under the lock
    probe: ProbeRequest  # to read the fingerprint again in the same way
    transactions: List[Transaction]
    barriers: Dict[str, Dict[str, Any]]  # stage → {"silence": "keep" | "undo" | "finish", "deadline_s": float}
    rollouts: Dict[str, Dict[str, Any]]  # deployment → {"auto_revert": bool, "max_failures": int}
    secrets: Dict[str, str]  # reference → value


# Events of a run, one JSON line each, all with "type" and "at" (ISO 8601, UTC):
#   locked    {"deployments", "rollouts", "certificate"}
#   refused   {"reason": "lock" | "stale", "detail", "holder"}
#   barrier   {"stage", "state": "waiting" | "open" | "timeout"}
#   pause     {"state": "paused" | "resumed" | "timeout", "message"}
#   step      {"tx", "step", "change", "label", "state": "start" | "progress" | "done" | "failed" | "undone" | "undo-failed"
#              | "skipped", "message", "data"}    progress data: {"done", "total", "unit", "rate", "eta_s", "phase"}; of a
#              copy once {"wants": {"host", "path", "name", "digest"}}: the controller brings it from there; {"warn": text} is
#              for a person to hear, and stands in the report of the apply
#   report    {"result": "done" | "failed" | "rolled-back" | "locked" | "stale" | "stopped" | "lost",
#              "transactions": {id: {"state": "done" | "failed" | "undone" | "skipped" | "undo-failed" | "kept",
#              "step", "message", "cause", "hint", "log": [...]}}, "message": why there are none}
#     kept: begun and left as it is, because a barrier stayed closed; the run is unfinished
#     result: "rolled-back" when every transaction that failed was undone, "failed" when one could not be; of a run that was
#     killed too, written by `recover`; "lost" is said by `attach` for one that went down with its host


def certificate_digest(certificate: str) -> str:
    """How a peer's certificate is compared: 12 hex digits."""
    import hashlib  # late: a probe is quicker without

    return hashlib.sha256(certificate.encode()).hexdigest()[:12]


def secret_fingerprint(key: str, value: str) -> str:
    """How a secret is shown and compared: keyed by the host's and fleet's `secret_key` (hex), 16 hex digits."""
    import hmac  # late: a probe is quicker without

    return hmac.new(bytes.fromhex(key), value.encode(), "sha256").hexdigest()[:16]
