"""What our probe reads on a host, done in the plainest way: sent to `sudo python3 -` by the bare connections of bench_fanout.

systemctl, the digests of unit files and settings, records, artifacts' markers, listening ports and whose they are, machine
facts, NVML. Standard library only; prints one JSON line.
"""

import ctypes
import glob
import hashlib
import json
import os
import platform
import subprocess

PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,InvocationID,DropInPaths,FragmentPath,ControlGroup"
)


def text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def digests(patterns):
    found = {}
    for pattern in patterns:
        for path in glob.glob(pattern, recursive=True):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    found[path] = hashlib.sha256(file.read()).hexdigest()
    return found


def units():
    names = [os.path.basename(p) for p in glob.glob("/etc/systemd/system/deployer-*.service")]
    command = ["systemctl", "show", "--property=" + PROPERTIES, *names]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout if names else ""


def listening():
    inodes = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in text(table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                inodes[fields[9]] = int(fields[1].rsplit(":", 1)[1], 16)
    owners = {}
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            pid = link.split("/")[2]
            owners[inodes[target[8:-1]]] = text("/proc/" + pid + "/cgroup")
    return owners


def gpus():
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    count = ctypes.c_uint()
    nvml.nvmlInit_v2()
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    return count.value


def space(path):
    there = os.statvfs(path)
    return there.f_bavail * there.f_frsize


def facts():
    return {
        "machine": text("/etc/machine-id"),
        "os": text("/etc/os-release"),
        "memory": text("/proc/meminfo"),
        "cpus": text("/proc/cpuinfo").count("processor"),
        "libc": platform.libc_ver(),
        "pythons": glob.glob("/usr/bin/python3.*"),
        "disks": {path: space(path) for path in ("/", "/var", "/opt")},
        "packages": text("/var/lib/dpkg/status").count("\nPackage: "),
    }


STATE = ["/var/lib/deployer/*/*.json", "/var/lib/deployer/*/*/*.json", "/var/lib/deployer/*/*/revisions/*.json"]
ARTIFACTS = ["/opt/deployer/*/*/.*", "/var/lib/deployer/models/*/*/.*"]
found = facts()
found["units"] = units()
found["digests"] = digests(["/etc/systemd/system/deployer-*", "/etc/systemd/system/deployer-*.d/*", "/etc/deployer/**"])
found["records"] = {path: text(path) for pattern in STATE for path in glob.glob(pattern)}
found["artifacts"] = {path: text(path) for pattern in ARTIFACTS for path in glob.glob(pattern) if os.path.isfile(path)}
found["listening"] = listening()
found["gpus"] = gpus()
print(json.dumps(found))
