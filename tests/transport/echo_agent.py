"""A stand-in for the agent, small enough to see through: its verbs echo, count, complain, crash. For tests of transports."""

import hashlib
import io
import zipfile

MAIN = r"""
import hashlib, json, os, sys, time
read = sys.stdin.buffer
def say(**line):
    sys.stdout.write(json.dumps(line) + "\n"); sys.stdout.flush()
request = json.loads(read.readline())
verb = sys.argv[1]
if verb == "whoami":
    say(type="you", uid=os.geteuid(), request=request, home=sys.argv[0], environment=sorted(os.environ))
elif verb == "echo":
    for line in read:
        say(type="echo", line=json.loads(line))
elif verb == "blob":
    digest, left = hashlib.sha256(), request["size"]
    say(type="want", offset=0)
    while left:
        data = read.read(min(left, 1 << 20)); digest.update(data); left -= len(data)
        if not data: break
    say(type="stored", sha256=digest.hexdigest(), missing=left)
elif verb == "shout":
    for n in range(request["lines"]):
        sys.stderr.write("e" * 1000 + "\n"); say(type="line", n=n, text="x" * 1000)
elif verb == "refuse":
    say(type="error", message="the disk is full", hint="make room"); sys.exit(1)
elif verb == "crash":
    raise ValueError("this is a bug")
elif verb == "die":
    os.kill(os.getpid(), 9)
elif verb == "hang":
    say(type="hanging"); time.sleep(3600)
say(type="end")
"""


class EchoAgent:
    """A transport.bootstrap.Archive. `flavour` makes another digest."""

    def __init__(self, flavour: str = "") -> None:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(zipfile.ZipInfo("__main__.py"), MAIN)
            archive.writestr(zipfile.ZipInfo("flavour.py"), f"it = {flavour!r}\n")
        self._data = out.getvalue()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self._data).hexdigest()

    def data(self) -> bytes:
        return self._data
