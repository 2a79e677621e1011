"""Small programs that units run around their main process, as text. Standard library, Python 3.6+.

READY and CLAIM lie beside a unit's other files, so that a boot and `Restart=always` go the same way as an apply, with nothing
of ours running; RELOAD is in the gateway's unit.
"""

READY_FILE = "ready.py"
CLAIM_FILE = "claim.py"

#: argv: port, path. Waits until GET answers 200; ends with 1 as soon as the main process is gone. Bounded by TimeoutStartSec.
READY = """\
import http.client, os, sys, time
port, path, main = int(sys.argv[1]), sys.argv[2], os.environ["MAINPID"]
while os.path.exists("/proc/" + main):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        if connection.getresponse().status == 200:
            sys.exit(0)
    except (OSError, http.client.HTTPException):
        pass
    time.sleep(0.2)
sys.exit("the process ended before it was ready")
"""

#: argv: directory, unit, GPU UUIDs. Takes all claims at once or waits. A claim names a unit and its invocation, and counts
#: only while that invocation is starting: nobody has to give it back, and a crash or a reboot leaves none behind.
CLAIM = """\
import fcntl, os, subprocess, sys, time
folder, unit, gpus = sys.argv[1], sys.argv[2], sys.argv[3:]
mine = unit + " " + os.environ["INVOCATION_ID"]

def starting(claim):
    name, _, invocation = claim.partition(" ")
    if not invocation or name == unit:
        return False
    show = ["systemctl", "show", "--property=ActiveState,SubState,InvocationID", "--", name]
    lines = subprocess.run(show, stdout=subprocess.PIPE, universal_newlines=True).stdout.splitlines()
    state = dict(line.partition("=")[::2] for line in lines)
    waits = state.get("SubState", "").startswith("auto-restart")
    return state.get("ActiveState") == "activating" and not waits and state.get("InvocationID") == invocation

def held(path):
    try:
        with open(path) as file:
            return starting(file.read())
    except FileNotFoundError:
        return False

os.makedirs(folder, mode=0o755, exist_ok=True)
said = False
while True:
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        paths = [os.path.join(folder, gpu) for gpu in gpus]
        if not any([held(path) for path in paths]):
            for path in paths:
                with open(path, "w") as file:
                    file.write(mine)
            sys.exit(0)
    if not said:
        print("waiting: another replica is starting on the same GPU", flush=True)
        said = True
    time.sleep(1)
"""

#: argv: HAProxy's master socket. Reloads and waits until other workers serve. A signal would be lost while the master of 2.6
#: is busy with the reload before (tried), and `systemctl reload` would say that all is well.
RELOAD = """\
import socket, sys, time

def ask(line):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(sys.argv[1])
        client.sendall(line + b"\\n")
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(4096), b""))

def workers():
    lines = ask(b"show proc").decode().partition("# workers")[2].partition("#")[0].splitlines()
    return {line.split()[0] for line in lines if line.strip()}

def settled(call, wanted, deadline=time.monotonic() + 20):
    while time.monotonic() < deadline:
        try:
            found = call()
            if wanted(found):
                return found
        except OSError:
            pass
        time.sleep(0.02)
    sys.exit("HAProxy did not take the new configuration within 20 s; the old one still serves")

before = settled(workers, bool)
try:
    ask(b"reload")
except OSError:
    pass
settled(workers, lambda now: now and not now & before)
"""
