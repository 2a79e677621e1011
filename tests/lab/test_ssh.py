"""SSH against real sshd, sudo and shells: who is let in, who is refused, and what happens when the way breaks."""

import hashlib
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.errors import DeployerError, HostKeyError, Unreachable
from deployer.spec.models import HostSpec
from deployer.spec.secrets import Secret
from deployer.transport import hostkeys
from deployer.transport.ssh import SshTransport
from tests.lab.conftest import LabFleet
from tests.transport.echo_agent import EchoAgent

pytestmark = pytest.mark.lab

KEY = ".deployer/lab/id_ed25519"
NASTY = "s3cr et$\"x'%"


class Way:
    """Opens connections to lab hosts with the stand-in agent, and closes them all at the end."""

    def __init__(self, fleet: LabFleet) -> None:
        self.fleet = fleet
        self.hosts: dict[str, HostSpec] = {}
        self.password: str | None = None
        self.agent = EchoAgent()
        self._open: list[Any] = []

    def host(self, name: str = "lab-1", **changes: Any) -> HostSpec:
        found = self.fleet.hosts[name]
        fields = {"name": name, "address": found.address, "user": "deploy", "host_key": found.host_key, "identity_file": KEY}
        self.hosts[name] = HostSpec(**{**fields, **changes})
        return self.hosts[name]

    def connect(self, host: HostSpec, *, timeout_s: float = 10.0) -> Any:
        secret = Secret(self.password) if self.password is not None else None
        transport = SshTransport(self.fleet.root, self.hosts, lambda _: secret, archive=self.agent)
        connection = transport.connect(host, timeout_s=timeout_s)
        self._open.append(connection)
        return connection

    def ask(self, host: HostSpec, verb: str = "whoami", **request: Any) -> dict[str, Any]:
        """The first line a verb answers with."""
        channel = self.connect(host).open(verb, request)
        return next(line for line in channel.lines() if line["type"] != "end")

    def close(self) -> None:
        for connection in self._open:
            connection.close()


@pytest.fixture
def way(lab_fleet: LabFleet) -> Iterator[Way]:
    made = Way(lab_fleet)
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of a person who has nothing yet."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_STATE_HOME", str(Path.home() / ".local/state"))  # the lab stays where it is
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


def until(reached: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not reached() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return reached()


# who is let in


def test_a_user_with_free_sudo_becomes_root_and_the_agent_stays_there(way: Way) -> None:
    way.agent = EchoAgent("first")
    host = way.host()
    said = way.ask(host, "whoami", poison='it\'s "quoted" $HOME ü\n')
    assert said["uid"] == 0
    assert said["request"] == {"poison": 'it\'s "quoted" $HOME ü\n'}
    assert said["home"] == f"/var/lib/deployer/agent/{way.agent.digest}"
    before = way.fleet.run("lab-1", ["stat", "-c", "%Y %i", said["home"] + "/complete"]).stdout
    assert way.ask(host)["uid"] == 0
    assert way.fleet.run("lab-1", ["stat", "-c", "%Y %i", said["home"] + "/complete"]).stdout == before


def test_root_comes_in_without_sudo(way: Way) -> None:
    assert way.ask(way.host(user="root", sudo=False))["uid"] == 0


def test_sudo_with_a_password_is_answered(way: Way) -> None:
    way.password = way.fleet.sudo_password
    assert way.ask(way.host(user="admin"))["uid"] == 0


def test_a_password_of_odd_characters_arrives_as_it_is(way: Way) -> None:
    way.fleet.run("lab-1", ["chpasswd"], stdin=f"admin:{NASTY}\n")
    try:
        way.password = NASTY
        assert way.ask(way.host(user="admin"))["uid"] == 0
    finally:
        way.fleet.run("lab-1", ["chpasswd"], stdin=f"admin:{way.fleet.sudo_password}\n")


def test_the_password_is_in_no_process_list_and_no_journal(way: Way) -> None:
    way.password = "poison-" + os.urandom(4).hex()
    way.fleet.run("lab-1", ["chpasswd"], stdin=f"admin:{way.password}\n")
    try:
        channel = way.connect(way.host(user="admin")).open("hang", {})
        assert next(channel.lines())["type"] == "hanging"
        look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'; journalctl"
        seen = way.fleet.run("lab-1", ["sh", "-c", look]).stdout
        assert "deployer-" in seen  # the prompt is there, so this looked at the right place
        assert way.password not in seen
    finally:
        way.fleet.run("lab-1", ["chpasswd"], stdin=f"admin:{way.fleet.sudo_password}\n")


def test_a_wrong_password_is_refused_after_one_try(way: Way) -> None:
    way.password = "wrong"
    with pytest.raises(Unreachable, match="sudo refuses the password of admin") as e:
        way.ask(way.host(user="admin"))
    assert (e.value.kind, e.value.where) == ("sudo", "lab-1")


def test_sudo_wants_a_password_and_there_is_none(way: Way) -> None:
    with pytest.raises(Unreachable, match="sudo asks for the password of admin") as e:
        way.ask(way.host(user="admin"))
    assert e.value.kind == "sudo"


def test_a_user_without_the_right_to_sudo_is_told_so(way: Way) -> None:
    way.password = way.fleet.sudo_password
    with pytest.raises(Unreachable, match="guest has no right to use sudo") as e:
        way.ask(way.host(user="guest"))
    assert e.value.kind == "sudo"


def test_a_user_whose_shell_is_csh(way: Way) -> None:
    way.fleet.run("lab-3", ["apt-get", "install", "-y", "-q", "tcsh"])
    way.fleet.run("lab-3", ["usermod", "--shell", "/bin/tcsh", "admin"])
    way.password = way.fleet.sudo_password
    try:
        assert way.ask(way.host("lab-3", user="admin"))["uid"] == 0
    finally:
        way.fleet.run("lab-3", ["usermod", "--shell", "/bin/bash", "admin"])


def test_a_user_the_host_does_not_know(way: Way) -> None:
    with pytest.raises(Unreachable, match="refuses the login of nobody-here") as e:
        way.connect(way.host(user="nobody-here"))
    assert e.value.kind == "auth"
    assert "id_ed25519" in str(e.value.hint)


def test_a_key_that_is_not_there(way: Way) -> None:
    with pytest.raises(Unreachable, match="there is no key .*keys/absent") as e:
        way.connect(way.host(identity_file="keys/absent"))
    assert e.value.kind == "auth"


def test_the_ssh_agent_opens_the_door(way: Way, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sock = str(home / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL)
    try:
        assert until(lambda: os.path.exists(sock))
        monkeypatch.setenv("SSH_AUTH_SOCK", sock)
        subprocess.run(["ssh-add", str(way.fleet.root / KEY)], check=True, capture_output=True)
        assert way.ask(way.host(identity_file=None))["uid"] == 0
    finally:
        agent.terminate()
        agent.wait()


# host keys


def test_an_impostor_is_refused_before_any_login(way: Way, home: Path) -> None:
    """lab-2 answers at the address of lab-1, and the person's known_hosts even trusts it: the pinned key decides."""
    impostor, victim = way.fleet.hosts["lab-2"], way.fleet.hosts["lab-1"]
    (home / ".ssh/known_hosts").write_text(f"{impostor.address} {impostor.host_key}\n")
    count = ["sh", "-c", "journalctl -q -u ssh | grep -c -E 'Accepted|Failed' || true"]
    before = way.fleet.run("lab-2", count).stdout
    with pytest.raises(HostKeyError, match="shows another host key") as e:
        way.connect(way.host("lab-1", address=impostor.address, host_key=victim.host_key))
    assert (e.value.kind, e.value.exit_code, e.value.where) == ("key", 6, "lab-1")
    assert "deployer hosts trust lab-1" in str(e.value.hint)
    for known in (impostor.host_key, victim.host_key):
        assert fingerprint(known) in str(e.value)
    # our own look at the journal is one login more
    assert int(way.fleet.run("lab-2", count).stdout) == int(before) + 1


def fingerprint(line: str) -> str:
    return subprocess.run(["ssh-keygen", "-lf", "-"], input=line, check=True, capture_output=True, text=True).stdout.split()[1]


def test_an_unknown_host_is_refused(way: Way, home: Path) -> None:
    with pytest.raises(HostKeyError, match="is not known") as e:
        way.connect(way.host(host_key=None))
    assert "deployer hosts trust lab-1" in str(e.value.hint)
    assert not (home / ".ssh/known_hosts").exists()


def test_known_hosts_counts_where_nothing_is_pinned(way: Way, home: Path) -> None:
    found = way.fleet.hosts["lab-1"]
    (home / ".ssh/known_hosts").write_text(f"{found.address} {found.host_key}\n")
    assert way.ask(way.host(host_key=None))["uid"] == 0


def test_the_key_to_trust_is_fetched_without_a_login(way: Way) -> None:
    found = way.fleet.hosts["lab-1"]
    kind, base64, shown = hostkeys.fetch(found.address)
    assert f"{kind} {base64}" == found.host_key
    assert shown == fingerprint(found.host_key)


# ways


def test_a_host_behind_a_jump_of_the_fleet(way: Way) -> None:
    way.host("lab-1")
    host = way.host("lab-2", jump="lab-1")
    connection = way.connect(host)
    said = [line for line in connection.open("whoami", {}).lines() if line["type"] == "you"]
    assert said[0]["uid"] == 0
    came = way.fleet.run("lab-2", ["sh", "-c", "journalctl -q -u ssh | grep Accepted | grep deploy | tail -1"]).stdout
    assert way.fleet.hosts["lab-1"].address in came


def test_hosts_behind_one_jump_share_its_login_and_the_last_one_ends_it(way: Way) -> None:
    way.host("lab-1")
    hosts = [way.host("lab-2", jump="lab-1"), way.host("lab-3", jump="lab-1")]
    transport = SshTransport(way.fleet.root, way.hosts, lambda _: None, archive=way.agent)
    logins = ["sh", "-c", "journalctl -q -u ssh | grep -c 'Accepted.*for deploy'"]
    before = int(way.fleet.run("lab-1", logins).stdout)
    first, second = (transport.connect(host, timeout_s=10) for host in hosts)
    assert int(way.fleet.run("lab-1", logins).stdout) == before + 1
    first.close()
    assert [line["type"] for line in second.open("whoami", {}).lines()] == ["you", "end"]
    second.close()
    sessions = ["sh", "-c", "ps -eo args | grep -c '^sshd: deploy$' || true"]
    assert until(lambda: way.fleet.run("lab-1", sessions).stdout.strip() == "0")


def test_an_impostor_as_jump_is_refused(way: Way) -> None:
    way.host("lab-1", host_key=way.fleet.hosts["lab-3"].host_key)
    with pytest.raises(HostKeyError, match="on the way, .* shows another host key"):
        way.connect(way.host("lab-2", jump="lab-1"))


def test_a_jump_that_cannot_reach_the_host(way: Way) -> None:
    way.host("lab-1")
    with pytest.raises(Unreachable, match="the jump host .* cannot reach .* port 9"):
        way.connect(way.host("lab-2", jump="lab-1", port=9))


def test_the_persons_ssh_configuration_is_honoured(way: Way, home: Path) -> None:
    jump, target = way.fleet.hosts["lab-1"], way.fleet.hosts["lab-2"]
    key = way.fleet.root / KEY
    (home / ".ssh/config").write_text(
        f"Host gate\n  HostName {jump.address}\n  User deploy\n  IdentityFile {key}\n"
        f"Host gpu\n  HostName {target.address}\n  User deploy\n  IdentityFile {key}\n  ProxyJump gate\n  HostKeyAlias the-gpu\n"
    )
    (home / ".ssh/known_hosts").write_text(f"{jump.address} {jump.host_key}\nthe-gpu {target.host_key}\n")
    said = way.ask(way.host("lab-2", address="gpu", user=None, host_key=None, identity_file=None))
    assert said["uid"] == 0
    came = way.fleet.run("lab-2", ["sh", "-c", "journalctl -q -u ssh | grep Accepted | grep deploy | tail -1"]).stdout
    assert jump.address in came


def test_a_proxycommand_is_honoured(way: Way, home: Path) -> None:
    target = way.fleet.hosts["lab-2"]
    relay = home / "relay"
    options = f"-F /dev/null -i {way.fleet.root / KEY} -o UserKnownHostsFile={way.fleet.root}/.deployer/lab/known_hosts"
    jump = f"deploy@{way.fleet.hosts['lab-1'].address}"
    relay.write_text(f"#!/bin/sh\ntouch {home}/used\nexec ssh {options} -W $1:$2 {jump}\n")
    relay.chmod(0o755)
    (home / ".ssh/config").write_text(f"Host {target.address}\n  ProxyCommand {relay} %h %p\n")
    assert way.ask(way.host("lab-2"))["uid"] == 0
    assert (home / "used").exists()


# what breaks


def test_nobody_at_the_address(way: Way) -> None:
    network = way.fleet.hosts["lab-1"].address.rpartition(".")[0]
    started = time.monotonic()
    with pytest.raises(Unreachable) as e:
        way.connect(way.host(address=f"{network}.250"), timeout_s=2)
    assert e.value.kind in ("timeout", "refused")
    assert time.monotonic() - started < 5


def test_a_port_nobody_listens_on(way: Way) -> None:
    with pytest.raises(Unreachable, match="port 9: Connection refused") as e:
        way.connect(way.host(port=9))
    assert e.value.kind == "refused"


def test_a_name_nobody_knows(way: Way) -> None:
    with pytest.raises(Unreachable, match=r"its address no-such-host\.invalid is unknown"):
        way.connect(way.host(address="no-such-host.invalid"))


def test_a_port_that_is_not_ssh(way: Way) -> None:
    way.fleet.run("lab-1", ["systemd-run", "--unit=mute", "python3", "-m", "http.server", "8022"])
    try:
        way.fleet.run("lab-1", ["sh", "-c", "until curl -s localhost:8022 >/dev/null; do sleep 0.05; done"])
        with pytest.raises(Unreachable, match="port 8022 does not answer as SSH"):
            way.connect(way.host(port=8022), timeout_s=3)
    finally:
        way.fleet.run("lab-1", ["systemctl", "stop", "mute"])


def test_a_host_that_is_cut_off_while_connecting(way: Way) -> None:
    way.fleet.cut("lab-3")
    try:
        started = time.monotonic()
        with pytest.raises(Unreachable) as e:
            way.connect(way.host("lab-3"), timeout_s=3)
        assert time.monotonic() - started < 6
        assert e.value.kind in ("timeout", "refused")
    finally:
        way.fleet.heal("lab-3")


@pytest.mark.parametrize("jump", [None, "lab-1"])
def test_a_link_that_dies_in_silence_is_noticed(way: Way, jump: str | None) -> None:
    way.host("lab-1")
    channel = way.connect(way.host("lab-3", jump=jump)).open("hang", {})
    lines = channel.lines()
    assert next(lines)["type"] == "hanging"
    way.fleet.cut("lab-3")
    try:
        started = time.monotonic()
        with pytest.raises(Unreachable, match="connection was lost") as e:
            next(lines)
        assert time.monotonic() - started < 20
        assert e.value.where == "lab-3"
    finally:
        way.fleet.heal("lab-3")


def test_a_host_that_crashes_under_a_verb(way: Way) -> None:
    channel = way.connect(way.host("lab-3")).open("hang", {})
    lines = channel.lines()
    assert next(lines)["type"] == "hanging"
    way.fleet.reboot("lab-3")
    with pytest.raises(Unreachable):
        next(lines)
    assert way.ask(way.host("lab-3"))["uid"] == 0


def test_a_host_without_python(way: Way) -> None:
    way.fleet.run("lab-3", ["mv", "/usr/bin/python3", "/usr/bin/python3.away"])
    try:
        for user in ("deploy", "root"):
            with pytest.raises(Unreachable, match="python3 is not installed") as e:
                way.ask(way.host("lab-3", user=user))
            assert e.value.kind == "agent"
    finally:
        way.fleet.run("lab-3", ["mv", "/usr/bin/python3.away", "/usr/bin/python3"])


def test_a_full_disk_at_first_contact_leaves_nothing_half_written(way: Way) -> None:
    way.agent = EchoAgent("x" * 2_000_000)
    agents = "/var/lib/deployer/agent"
    way.fleet.run("lab-3", ["mkdir", "-p", agents])
    way.fleet.run("lab-3", ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", agents])
    try:
        with pytest.raises(Unreachable, match="cannot put the agent into .*: No space left on device"):
            way.ask(way.host("lab-3"))
        assert way.fleet.run("lab-3", ["ls", "-A", agents]).stdout == ""
    finally:
        way.fleet.run("lab-3", ["umount", agents])
    assert way.ask(way.host("lab-3"))["uid"] == 0


def test_what_the_agent_says_of_itself(way: Way) -> None:
    connection = way.connect(way.host())
    with pytest.raises(DeployerError, match="the disk is full") as refused:
        list(connection.open("refuse", {}).lines())
    assert (refused.value.hint, refused.value.where) == ("make room", "lab-1")
    with pytest.raises(DeployerError, match="ValueError: this is a bug"):
        list(connection.open("crash", {}).lines())
    with pytest.raises(DeployerError, match="killed|went away"):
        list(connection.open("die", {}).lines())


# many bytes, many verbs


def test_a_big_blob_arrives_intact(way: Way) -> None:
    data = os.urandom(1 << 20) * 48 + b"end"
    channel = way.connect(way.host()).open("blob", {"size": len(data)})
    lines = channel.lines()
    assert next(lines)["type"] == "want"
    for start in range(0, len(data), 300_000):
        channel.send_bytes(data[start : start + 300_000])
    assert next(lines) == {"type": "stored", "sha256": hashlib.sha256(data).hexdigest(), "missing": 0}


def test_the_end_of_what_is_sent_is_seen_by_the_agent(way: Way) -> None:
    channel = way.connect(way.host()).open("echo", {})
    channel.send({"n": 1})
    channel.send({"n": 2})
    channel.done_sending()
    assert [line.get("line") for line in channel.lines()] == [{"n": 1}, {"n": 2}, None]


def test_much_noise_on_standard_error_does_not_stop_the_lines(way: Way) -> None:
    lines = list(way.connect(way.host()).open("shout", {"lines": 6000}).lines())
    assert [line.get("n") for line in lines] == [*range(6000), None]


def test_several_verbs_at_once_on_one_connection_meet_an_agent_that_is_not_there_yet(way: Way) -> None:
    way.agent = EchoAgent("parallel" + os.urandom(4).hex())
    connection = way.connect(way.host())
    together = threading.Barrier(5, timeout=30)
    got: dict[int, list[Any]] = {}

    def talk(n: int) -> None:
        channel = connection.open("echo", {})
        lines = channel.lines()
        answers = []
        for i in range(20):
            channel.send({"n": n, "i": i})
            answers.append(next(lines)["line"])
            if i == 10:
                together.wait()  # all five are open at the same time
        channel.done_sending()
        got[n] = answers

    threads = [threading.Thread(target=talk, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == {n: [{"n": n, "i": i} for i in range(20)] for n in range(5)}
    listed = way.fleet.run("lab-1", ["ls", "-A", "/var/lib/deployer/agent"]).stdout.split()
    assert way.agent.digest in listed
    assert not [name for name in listed if name.startswith("tmp")]


def test_agents_nobody_has_used_for_long_are_cleaned_up(way: Way) -> None:
    way.agent = EchoAgent("old")
    host = way.host("lab-2")
    old = way.ask(host)["home"]
    way.fleet.run("lab-2", ["touch", "-d", "30 days ago", f"{old}/complete"])
    way.agent = EchoAgent("new" + os.urandom(4).hex())
    new = way.ask(host)["home"]
    left = way.fleet.run("lab-2", ["ls", "/var/lib/deployer/agent"]).stdout.split()
    assert Path(new).name in left
    assert Path(old).name not in left


def test_a_use_keeps_an_old_agent_from_being_cleaned_up(way: Way) -> None:
    way.agent = EchoAgent("kept")
    host = way.host("lab-2")
    home = way.ask(host)["home"]
    way.fleet.run("lab-2", ["touch", "-d", "30 days ago", f"{home}/complete"])
    assert way.ask(host)["home"] == home
    age = way.fleet.run("lab-2", ["sh", "-c", f"echo $(( $(date +%s) - $(stat -c %Y {shlex.quote(home)}/complete) ))"]).stdout
    assert int(age) < 3600


def test_a_closed_connection_leaves_nothing_running(way: Way) -> None:
    before = {thread.name for thread in threading.enumerate()}
    way.host("lab-1")
    connection = way.connect(way.host("lab-2", jump="lab-1"))
    channel = connection.open("hang", {})
    lines = channel.lines()
    assert next(lines)["type"] == "hanging"
    connection.close()
    connection.close()
    with pytest.raises(Unreachable):
        next(lines)
    assert until(lambda: {thread.name for thread in threading.enumerate()} <= before)
