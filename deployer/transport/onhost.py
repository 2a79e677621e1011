"""The first words on a host, sent on the command line: finds the agent by its digest, or takes, checks and unpacks it, and
runs it. Never imported here; `transport.bootstrap` reads its text. Old syntax on purpose: an old Python must be able to say no.

argv: DIGEST VERB. Says "deployer-agent have" or "deployer-agent need"; after need it reads a line with a size and so many
bytes, the archive compressed with zlib.
"""

import os
import sys

base = "/var/lib/deployer/agent"
digest, verb = sys.argv[1:3]
home = os.path.join(base, digest)
marker = os.path.join(home, "complete")
unused_s = 7 * 86400


def fail(message: str, hint: str) -> None:
    import json

    sys.stdout.write(json.dumps({"type": "error", "stage": "bootstrap", "message": message, "hint": hint}) + "\n")
    sys.stdout.flush()
    os._exit(1)


def age(path: str) -> float:
    import time

    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return 0


def receive() -> bytes:
    import hashlib
    import zlib

    size = int(sys.stdin.buffer.readline())
    data = zlib.decompress(sys.stdin.buffer.read(size))
    if hashlib.sha256(data).hexdigest() != digest:
        fail("the agent arrived damaged", "try again")
    return data


def unpack(data: bytes) -> None:
    import compileall
    import io
    import shutil
    import tempfile
    import zipfile

    old = os.umask(0o022)
    os.makedirs(base, exist_ok=True)
    for name in os.listdir(base):
        path = os.path.join(base, name)
        if age(os.path.join(path, "complete")) > unused_s or (name.startswith("tmp") and age(path) > unused_s):
            shutil.rmtree(path, ignore_errors=True)
    new = tempfile.mkdtemp(dir=base)
    try:
        os.chmod(new, 0o755)
        zipfile.ZipFile(io.BytesIO(data)).extractall(new)
        compileall.compile_dir(new, quiet=2)
        for folder, _, files in os.walk(new):
            for name in files:
                fd = os.open(os.path.join(folder, name), os.O_RDONLY)
                os.fsync(fd)
                os.close(fd)
        open(os.path.join(new, "complete"), "w").close()
        try:
            os.rename(new, home)
        except OSError:
            if not os.path.exists(marker):
                raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
        os.umask(old)


if sys.version_info < (3, 9):  # noqa: UP036  (this runs on hosts, not here)
    fail("Python 3.9 or newer is needed, python3 is " + sys.version.split()[0], "install a newer python3 on the host")
if os.geteuid() != 0:
    fail("the agent needs root", "log in as root, or as a user who may use sudo (sudo: true)")
have = os.path.exists(marker)
sys.stdout.write("deployer-agent " + ("have" if have else "need") + "\n")
sys.stdout.flush()
if not have:
    archive = receive()
    try:
        unpack(archive)
    except OSError as error:
        fail("cannot put the agent into " + base + ": " + str(error.strerror), "see the disk and the permissions there")
elif age(marker) > 86400:
    os.utime(marker)  # in use: not to be cleaned up
sys.argv = [home, verb]
sys.path.insert(0, home)
main = os.path.join(home, "__main__.py")
with open(main, "rb") as file:
    code = compile(file.read(), main, "exec")
# as runpy does it, which takes longer to import than all this
exec(code, {"__name__": "__main__", "__file__": main, "__builtins__": __builtins__})
