"""A no-op `deployer plan` of 20 lab hosts with a deployment each, the whole process, against bare Fabric connections that make
the same reads, against pyinfra and against ansible-core doing the equivalent checks.

Needs root on Linux. The lab stays below .deployer/bench with --keep; BENCH_HOSTS=5 makes it smaller.
"""

import base64
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import fanout_peers
from benchmarks.fanout_peers import Host, Login
from benchmarks.measure import DEPLOYER, PYTHON, ROOT, Row, at_most, faster, finish, process, side_by_side

COUNT = int(os.environ.get("BENCH_HOSTS", "20"))
ROUNDS = 5
WORK = ROOT / ".deployer/bench"
FLEET = WORK / "fleet"
DEPLOYMENT = """\
name: {name}
model: {{path: models/{model}}}
engine: {{ctranslate2: {{device: cpu}}}}
placement: {{hosts: [{host}]}}
endpoint: {{open: true}}
"""


def deployer(*words: str) -> str:
    """Runs a command on the benchmark's fleet and gives what it wrote; its narration goes to our stderr."""
    print(f"$ deployer {' '.join(words)}", file=sys.stderr)
    done = subprocess.run(
        [DEPLOYER, words[0], "-C", str(FLEET), *words[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise SystemExit(f"deployer {' '.join(words)} ended with {done.returncode}:\n{done.stdout.decode()[-3000:]}")
    return done.stdout.decode()


def on_host(host: str, *command: str) -> bytes:
    words = [DEPLOYER, "lab", "ssh", host, "-C", str(FLEET), "--", *command]
    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout


def write(name: str, host: str, model: str) -> None:
    (FLEET / f"deployments/{name}.yaml").write_text(DEPLOYMENT.format(name=name, host=host, model=model))


def commit() -> None:
    git = ["git", "-C", str(FLEET), "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "bench"], check=True)


def prepare_fleet() -> None:
    """The fleet, applied: converted once on the first host, so that 20 hosts need no converter."""
    for folder in ("deployments", "hosts", "models"):
        (FLEET / folder).mkdir(parents=True, exist_ok=True)
    (FLEET / "deployer.yaml").write_text("id: be7c4b3d\nname: bench\ngateway: {insecure: true}\n")
    (FLEET / ".gitignore").write_text(".deployer/\n")
    subprocess.run(["git", "init", "--quiet", str(FLEET)], check=True)
    shutil.copytree(ROOT / "models/tiny-chat", FLEET / "models/tiny-chat", dirs_exist_ok=True)
    deployer("lab", "up", str(COUNT))
    if not (FLEET / "models/tiny-ct2/model.bin").exists():
        convert()
    for number in range(1, COUNT + 1):
        write(f"chat-{number}", f"lab-{number}", "tiny-ct2")
    (FLEET / "deployments/seed.yaml").unlink(missing_ok=True)
    commit()
    deployer("lock")
    deployer("apply", "--yes", "--prune")


def convert() -> None:
    write("seed", "lab-1", "tiny-chat")
    commit()
    deployer("lock")
    deployer("apply", "--yes")
    find = "cd $(dirname $(find /var/lib/deployer/models -name model.bin | head -n 1)) && tar -cf - --exclude='./.*' . | base64"
    archive = base64.b64decode(on_host("lab-1", "sh", "-c", find))
    target = FLEET / "models/tiny-ct2"
    target.mkdir(parents=True)
    subprocess.run(["tar", "-xf", "-", "-C", str(target)], input=archive, check=True)


#: Lists what is ours on a host, then packs the files, in one go.
LOOK = """\
find /etc/deployer/bench /etc/systemd/system/deployer-bench-*.service -type f -printf 'file %p %m\\n'
ls -d /opt/deployer/engines/* /var/lib/deployer/models/*/* | sed 's/^/artifact /'
echo archive
tar -cf - /etc/deployer/bench /etc/systemd/system/deployer-bench-*.service 2>/dev/null | base64
"""


def host_as_deployed(name: str) -> Host:
    """Address from the lab; files (copied here), units and artifacts as they are on the host."""
    listed, _, archive = on_host(name, "sh", "-c", LOOK).decode().partition("archive\n")
    rows = [line.split() for line in listed.splitlines()]
    here = WORK / "files" / name
    here.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xf", "-", "-C", str(here)], input=base64.b64decode(archive), check=True)
    texts = tuple((row[1], str(here / row[1].lstrip("/")), row[2]) for row in rows if row[0] == "file")
    units = tuple(Path(path).name for path, _, _ in texts if path.startswith("/etc/systemd/"))
    artifacts = tuple(row[1] for row in rows if row[0] == "artifact")
    if len(units) != 2 or len(artifacts) < 3:
        raise SystemExit(f"{name} is not deployed as expected: {units}, {artifacts}")
    return Host(name, address_of(name), texts, units, artifacts)


def address_of(host: str) -> str:
    for line in (FLEET / f"hosts/{host}.yaml").read_text().splitlines():
        if line.startswith("address:"):
            return line.split(":", 1)[1].strip()
    raise SystemExit(f"hosts/{host}.yaml names no address")


def measure(hosts: list[Host]) -> list[Row]:
    login = Login("deploy", FLEET / ".deployer/lab/id_ed25519", FLEET / ".deployer/lab/known_hosts")
    here = Path(__file__).parent
    fabric = [
        PYTHON,
        str(here / "bare_fabric.py"),
        str(here / "plain_reads.py"),
        str(login.known_hosts),
        str(login.key),
        login.user,
    ]
    play, play_env = fanout_peers.ansible(WORK, hosts, login)
    subjects = [
        process([DEPLOYER, "plan", "-C", str(FLEET), "--detailed-exitcode"]),
        process([*fabric, *(h.address for h in hosts)]),
        process(fanout_peers.pyinfra(WORK, hosts, login)),
    ]
    ours, bare, dry = side_by_side(ROUNDS, *subjects)
    (check,) = side_by_side(1, process(play, env=play_env))
    what = f"no-op plan, {len(hosts)} hosts"
    return [
        at_most(what, ours, bare, "bare Fabric, the same reads", 1.5),
        faster(what, ours, dry, "pyinfra --dry", 4),
        faster(what, ours, check, "ansible-playbook --check", 20),
    ]


def main() -> int:
    started = time.monotonic()
    try:
        prepare_fleet()
        hosts = [host_as_deployed(f"lab-{number}") for number in range(1, COUNT + 1)]
        print(f"{len(hosts)} hosts stand after {time.monotonic() - started:.0f} s; measuring", file=sys.stderr)
        return finish(measure(hosts))
    finally:
        if "--keep" not in sys.argv:
            subprocess.run([DEPLOYER, "lab", "down", "-C", str(FLEET)], stdin=subprocess.DEVNULL, check=False)
            shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
