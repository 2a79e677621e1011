"""Looks for words that must be nowhere: on a lab host, in a fleet's folder. Used by test_secrets.

The words travel on standard input, so that the search itself does not put them where it looks.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.lab.conftest import LabFleet

#: What runs on the host as root. Standard input: {"words": [...], "trees": [...]}. Says which word was seen where.
_SEARCH = r"""
import json, os, stat, subprocess, sys
asked = json.load(sys.stdin)
words = [word.encode() for word in asked["words"]]
longest = max(map(len, words))
hits, looked = [], {"processes": 0, "files": 0, "journal": 0}

def search(stream, where, **more):
    tail, size = b"", 0
    while True:
        try:
            block = stream.read(1 << 20)
        except OSError:
            break
        if not block:
            break
        size += len(block)
        text = tail + block
        for number, word in enumerate(words):
            if word in text:
                hits.append({"word": number, "where": where, **more})
        tail = text[-longest:]
    return size

for pid in filter(str.isdigit, os.listdir("/proc")):
    for part in ("cmdline", "environ"):
        try:
            with open("/proc/%s/%s" % (pid, part), "rb") as stream:
                search(stream, "process " + part)
        except OSError:
            continue
    looked["processes"] += 1

for tree in asked["trees"]:
    for folder, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name != "lab-packages"]  # shared with other labs, made before this one
        for name in names:
            path = os.path.join(folder, name)
            try:
                found = os.lstat(path)
                if not stat.S_ISREG(found.st_mode):
                    continue
                with open(path, "rb") as stream:
                    search(stream, path, mode=oct(found.st_mode & 0o7777), owner=found.st_uid)
            except OSError:
                continue
            looked["files"] += 1

journal = subprocess.Popen(["journalctl", "--no-pager", "--all", "-o", "export"], stdout=subprocess.PIPE)
looked["journal"] = search(journal.stdout, "the journal")
print(json.dumps({"hits": hits, "looked": looked}))
"""

TREES = ("/etc", "/var", "/opt", "/run", "/tmp", "/root", "/home", "/dev/shm", "/usr/local")


@dataclass(frozen=True)
class Search:
    """`hits`: [{"word": its number, "where", "mode", "owner"}]; `looked`: how much was read, by kind."""

    hits: list[dict[str, object]]
    looked: dict[str, int]


def on_host(lab: LabFleet, host: str, words: list[str], trees: tuple[str, ...] = TREES) -> Search:
    """Command lines and environments of all processes, all files below `trees`, the whole journal."""
    asked = json.dumps({"words": words, "trees": trees})
    done = lab.run(host, ["python3", "-I", "-c", _SEARCH], stdin=asked)
    return Search(**json.loads(done.stdout))


def in_folder(root: Path, words: list[str]) -> list[str]:
    """Files below `root` that hold one of the words."""
    found = []
    for path in sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink()):
        content = path.read_bytes()
        found += [str(path.relative_to(root)) for word in words if word.encode() in content]
    return found
