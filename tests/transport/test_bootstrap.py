"""First contact: when the password goes out, when the agent goes out, and what a person reads when neither helps."""

import shlex
import subprocess
import sys
import zlib

import pytest

from deployer.errors import Unreachable
from deployer.spec.secrets import Secret
from deployer.transport.bootstrap import FirstContact, _script
from tests.transport.echo_agent import EchoAgent
from tests.transport.scripted import Scripted

HAVE = (b"deployer-agent have\n", b"")
PASSWORD = "s3cr et$\"x'"


def contact(*, user: str = "deploy", sudo: bool = True, password: str | None = PASSWORD) -> FirstContact:
    secret = Secret(password) if password is not None else None
    return FirstContact("gpu-1", user=user, sudo=sudo, passwords=lambda _: secret, archive=EchoAgent())


def prompt_of(asked: FirstContact) -> bytes:
    argv = asked.argv("probe")
    return argv[argv.index("-p") + 1].encode()


def test_a_host_that_has_the_agent_gets_the_request_alone() -> None:
    running = Scripted([HAVE, (b'{"type":"end"}\n', b"")])
    channel = contact().begin(running, {"a": 1})
    assert running.written == b'{"a":1}\n'
    assert [line["type"] for line in channel.lines()] == ["end"]


def test_a_host_without_the_agent_gets_it_before_the_request() -> None:
    running = Scripted([(b"deployer-agent need\n", b"")])
    contact().begin(running, {"a": 1})
    size, _, rest = running.written.partition(b"\n")
    assert zlib.decompress(rest[: int(size)]) == EchoAgent().data()
    assert rest[int(size) :] == b'{"a":1}\n'


def test_the_password_is_sent_only_when_sudo_asks_with_our_words() -> None:
    silent = Scripted([HAVE])
    contact().begin(silent, {})
    assert PASSWORD.encode() not in silent.written
    asked = contact()
    prompt = prompt_of(asked)
    other = Scripted([(b"", b"We trust you have received the usual lecture.\n[sudo] password for deploy:"), HAVE])
    asked.begin(other, {})
    assert PASSWORD.encode() not in other.written
    cut_in_two = Scripted([(b"", prompt[:7]), (b"", prompt[7:]), HAVE])
    asked.again()
    asked.begin(cut_in_two, {})
    assert cut_in_two.written == PASSWORD.encode() + b"\n{}\n"


def test_a_second_question_means_that_the_password_is_wrong() -> None:
    asked = contact()
    prompt = prompt_of(asked)
    running = Scripted([(b"", prompt), (b"", b"Sorry, try again.\n" + prompt)])
    with pytest.raises(Unreachable, match="sudo refuses the password of deploy") as e:
        asked.begin(running, {})
    assert e.value.kind == "sudo"
    assert running.written.count(PASSWORD.encode()) == 1
    assert running.closed
    assert PASSWORD not in str(e.value)


def test_where_nobody_knows_the_password_a_person_reads_what_to_do() -> None:
    asked = contact(password=None)
    with pytest.raises(Unreachable, match="asks for the password of deploy") as e:
        asked.begin(Scripted([(b"", prompt_of(asked))]), {})
    assert e.value.kind == "sudo"
    assert "DEPLOYER_SUDO_PASSWORD" in str(e.value.hint)


def test_each_verb_has_a_prompt_of_its_own() -> None:
    one = contact()
    assert prompt_of(one) != prompt_of(one.again())


def test_root_needs_no_sudo_and_others_need_the_right_to_it() -> None:
    assert "sudo" not in contact(user="root", sudo=False).argv("probe")
    with pytest.raises(Unreachable, match="sudo: false") as e:
        contact(sudo=False)
    assert e.value.kind == "sudo"


def test_the_command_is_one_line_without_what_shells_read_differently() -> None:
    line = contact().command("probe")
    assert "\n" not in line
    assert "!" not in line
    assert len(line) < 2500
    assert shlex.split(line)[-1] == "probe"


def test_what_a_login_script_prints_is_passed_over() -> None:
    running = Scripted([(b"Welcome!\n{}\nquota: 3%\ndeployer-agent ", b""), (b'have\n{"type":"end"}\n', b"")])
    assert [line["type"] for line in contact().begin(running, {}).lines()] == ["end"]


@pytest.mark.parametrize(
    ("err", "kind", "words"),
    [
        (b"deploy is not in the sudoers file.\n", "sudo", "no right to use sudo"),
        (b"Sorry, user deploy is not allowed to execute '/usr/bin/python3' as root on h.\n", "sudo", "no right to use sudo"),
        (b"sudo: sorry, you must have a tty to run sudo\n", "sudo", "requiretty"),
        (b"sudo: no password was provided\nsudo: a password is required\n", "sudo", "refuses the password"),
        (b"env: 'sudo': No such file or directory\n", "sudo", "sudo is not installed"),
        (b"bash: line 1: sudo: command not found\n", "sudo", "sudo is not installed"),
        (b"sudo: python3: command not found\n", "agent", "python3 is not installed"),
        (b"env: 'python3': No such file or directory\n", "agent", "python3 is not installed"),
        (b"Traceback (most recent call last):\n  File ...\nImportError: no module\n", "agent", "ImportError: no module"),
        (b"", "agent", "it said nothing"),
    ],
)
def test_why_the_agent_did_not_start_is_told_apart(err: bytes, kind: str, words: str) -> None:
    with pytest.raises(Unreachable, match=words) as e:
        contact().begin(Scripted([(b"", err)], status=1), {})
    assert e.value.kind == kind
    assert e.value.where == "gpu-1"


def test_a_link_that_breaks_meanwhile_is_not_blamed_on_the_agent() -> None:
    with pytest.raises(Unreachable, match="connection was lost") as e:
        contact().begin(Scripted(lost=True), {})
    assert e.value.kind == "timeout"


def test_an_old_python_is_named(tmp_path: object) -> None:
    code = f"import sys; sys.version_info = (3, 6, 9); sys.argv = ['-c', 'digest', 'probe']; {_script()}"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=False)
    with pytest.raises(Unreachable, match=r"Python 3\.9 or newer is needed") as e:
        contact().begin(Scripted([(done.stdout, done.stderr)], status=1), {})
    assert e.value.kind == "agent"
    assert "install a newer python3" in str(e.value.hint)
