"""What systemd, the kernel and the C library say when any engine fails, whatever that engine writes itself. Data only; each
engine puts `HOST_FAILURES` before its own patterns and `HOST_FALLBACKS` after them.

systemd's own lines about a unit are read with the unit's (as `journalctl -u` shows them), so the way a process ended is a line
like any other. Texts as systemd 247 to 257 and glibc 2.36 write them.
"""

from deployer.engines.base import FailurePattern

#: Surer than anything that the engine says, which often knows only that one of its processes is gone.
HOST_FAILURES = (
    FailurePattern(
        r"killed by the OOM killer|Failed with result 'oom-kill'",
        "the host ran out of memory (or this unit of its limit), and the kernel killed the engine",
        "resources.memory: higher where it is set; else a host with more memory, or a smaller model or cache",
    ),
    FailurePattern(
        r"Main process exited, code=(dumped|killed), status=4/ILL|^Illegal instruction|proc\(s\): \{.*: -4\b|exit code: -4\b",
        "this CPU lacks instructions that the engine was built for (AVX2 or AVX-512)",
        "placement.hosts: a host with a newer CPU (lscpu shows its flags), or another engine",
    ),
    FailurePattern(
        r"/dev/shm\S*.*(No space left on device|Error while creating shared memory)|"
        r"Error while creating shared memory segment /dev/shm|status=7/BUS|Bus error",
        "/dev/shm of the host is full or too small for the processes of one engine to talk through",
        "placement.hosts: one with more (df /dev/shm; mount -o remount,size=16G /dev/shm), or tensor_parallel 1",
    ),
    FailurePattern(
        r"(\[Errno 28\] |: )No space left on device(: '(?P<what>[^']+)')?|Disk quota exceeded",
        "the disk of the host is full",
        "keep: fewer revisions, then `deployer gc`; the engine's cache is below /var/cache/deployer",
    ),
    FailurePattern(
        r"\[Errno 98\]|Address already in use|couldn't bind HTTP server socket",
        "another process listens on the replica's port",
        "ports: of the host's file, or stop that process",
    ),
    FailurePattern(
        r"\[Errno 24\] Too many open files(?!`)",
        "the engine may not open more files",
        "placement.hosts: one that allows it (sysctl fs.file-max)",
    ),
    FailurePattern(
        r"Failed at step EXEC spawning (?P<what>\S+):|Failed to locate executable (?P<program>\S+):",
        "the engine's program is not there or cannot run: its environment is incomplete",
        "engine: `deployer hosts probe --verify` says what is missing, and the next apply builds it again",
    ),
    FailurePattern(
        r"Failed at step CREDENTIALS|Failed to set up credentials|status=243/CREDENTIALS",
        "systemd could not hand over the unit's files",
        "engine: apply again, which writes them again (below /etc/deployer)",
    ),
    FailurePattern(
        r"(?P<what>lib[\w.+-]+\.so[\w.]*): cannot open shared object file",
        "a library is missing on the host: {what}",
        "engine: install the package that has {what} on the host",
    ),
    FailurePattern(
        r"version `(?P<what>GLIBC(XX)?_[\d.]+)' not found",
        "the host's system is older than the engine's build: it has no {what}",
        "placement.hosts: one with a newer system, or packages.targets of deployer.yaml",
    ),
    FailurePattern(
        r"DefaultCPUAllocator: (can't allocate memory|not enough memory)|std::bad_alloc|^MemoryError|: MemoryError",
        "the host ran out of memory",
        "resources.memory: higher where it is set; else a host with more memory",
    ),
)

#: For a log in which the engine itself names no cause.
HOST_FALLBACKS = (
    FailurePattern(
        r"\[Errno 13\] Permission denied: '(?P<what>[^']+)'",
        "the engine may not read {what}",
        "model: its files must be readable for other users (mode 0644, folders 0755)",
    ),
    FailurePattern(
        r"Main process exited, code=(dumped|killed), status=(?P<signal>(6/ABRT|11/SEGV))|Segmentation fault",
        "the engine crashed; what it did last is in the log",
        "engine: another version, or report it to its authors with the log",
    ),
    FailurePattern(
        r"start(-post)? operation timed out",
        "it was not ready in the time that its unit gives a start",
        "rollout.healthy_deadline: longer",
    ),
    FailurePattern(
        r"Main process exited, code=killed, status=9/KILL|exit code: -9\b|proc\(s\): \{.*: -9\b",
        "somebody or something killed the engine (signal 9)",
        "resources.memory: higher, when the kernel's log (journalctl -k) says that it was memory",
    ),
)
