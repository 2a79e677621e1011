"""What a person gets for bad input: the words, the exit code, and hosts that are as they were.

All through `main`, over fake hosts with the real agent.
"""

import errno
import re

import pytest

from deployer.execute.events import Event
from deployer.transport.fake import FakeHost
from deployer.transport.simulation import furniture
from tests.agent.test_silent_systemd import Systemd
from tests.cli.conftest import DEPLOYMENT
from tests.cli.fakehosts import Bench, bench, tree

__all__ = ["bench"]

CHAT = "deployments/chat.yaml"

WRONG_FILES = {
    "an unknown key": (
        {CHAT: DEPLOYMENT + "replcas: 2\n"},
        "deployments/chat.yaml:7:1: a deployment has no 'replcas'\n  7 | replcas: 2\n    | ^^^^^^^ did you mean replicas?\n",
    ),
    "a key that is written twice": (
        {CHAT: DEPLOYMENT + "tags: [x]\n"},
        "deployments/chat.yaml:7:1: 'tags' is written twice\n  7 | tags: [x]\n    | ^^^^ the first one is on line 5\n",
    ),
    "a wrong type": (
        {CHAT: DEPLOYMENT + "replicas: many\n"},
        'deployments/chat.yaml:7:11: replicas must be a whole number from 1 to 10000, not "many"\n'
        "  7 | replicas: many\n    |           ^^^^\n",
    ),
    "two deployments of one name": (
        {"deployments/other.yaml": DEPLOYMENT},
        "deployments/other.yaml:1:7: two deployments are named 'chat'\n"
        "  1 | name: chat\n    |       ^^^^ the other one is in deployments/chat.yaml:1\n",
    ),
    "a model folder that does not exist": (
        {CHAT: DEPLOYMENT.replace("models/tiny", "models/none")},
        "deployments/chat.yaml:2:15: the folder 'models/none' is not there\n"
        "  2 | model: {path: models/none}\n    |               ^^^^^^^^^^^ model.path is relative to the fleet's root\n",
    ),
    "a name with a space": (
        {CHAT: DEPLOYMENT.replace("name: chat", "name: my chat")},
        "deployments/chat.yaml:1:7: name must be ",
    ),
    "a host of the wrong name": (
        {CHAT: DEPLOYMENT + "placement: {hosts: [h3]}\n"},
        "deployments/chat.yaml:7:21: there is no host 'h3'\n  7 | placement: {hosts: [h3]}\n"
        "    |                     ^^ there are h1, h2\n",
    ),
}


@pytest.mark.parametrize("case", sorted(WRONG_FILES))
@pytest.mark.parametrize("words", [("plan",), ("apply", "--yes"), ("lock",), ("status",)], ids=" ".join)
def test_wrong_files_are_said_with_their_place_and_no_host_is_asked(bench: Bench, case: str, words: tuple[str, ...]) -> None:
    files, message = WRONG_FILES[case]
    for name, text in files.items():
        (bench.root / name).write_text(text)
    hosts, fleet = bench.world(), tree(bench.root)
    done = bench(*words)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(message), done.err
    assert done.err.endswith("1 problem in 1 file\n")
    assert (bench.world(), tree(bench.root)) == (hosts, fleet)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "chta"), "✗ there is no deployment chta in this fleet\n    did you mean chat?\n"),
        (("plan", "--host", "h9"), "✗ there is no host h9 in this fleet\n    there is: h1, h2\n"),
        (("apply", "nope.json", "--yes"), "✗ nope.json: there is no such plan\n    deployer plan --out FILE makes one\n"),
        (("logs", "chta"), "✗ there is no deployment chta in this fleet\n    did you mean chat?\n"),
        (("history", "nobody"), "✗ there is no deployment nobody in this fleet\n    deployments/ has: chat\n"),
        (("endpoint", "chta"), "✗ there is no deployment chta in this fleet\n    did you mean chat?\n"),
        (("stop", "chta", "--yes"), "✗ there is no deployment chta in this fleet\n    did you mean chat?\n"),
        (
            ("lock", "--upgrade", "path:models/tyni"),
            "✗ nothing is locked under the name path:models/tyni\n    did you mean path:",
        ),
        (("plan", "--host"), "✗ argument --host: expected one argument\n    deployer plan --help\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_words_are_said_with_the_nearest_right_ones(bench: Bench, words: tuple[str, ...], message: str) -> None:
    hosts, fleet = bench.world(), tree(bench.root)
    done = bench(*words)
    assert (done.code, done.out) == (64, "")
    assert done.err.startswith(message), done.err
    assert (bench.world(), tree(bench.root)) == (hosts, fleet)


# hosts that do not answer

SILENT = {
    "timeout": "timed out after ",
    "refused": "connection refused",
    "auth": "the login was refused",
    "sudo": "sudo wants a password",
    "key": "its host key is not the pinned one",
}


@pytest.mark.parametrize("kind", sorted(SILENT))
def test_a_host_that_is_not_let_in_is_shown_and_skipped_and_the_other_is_done(bench: Bench, kind: str) -> None:
    bench.hosts["h2"].unreachable = kind
    before = tree(bench.hosts["h2"].root)
    planned = bench("plan")
    assert planned.code == 6
    assert f"h2\n  ?  unreachable: {SILENT[kind]}" in planned.out
    assert "apply skips it" in planned.out
    assert planned.out.rstrip().endswith("1 host unreachable")
    done = bench("apply", "--yes")
    assert done.code == 6
    assert "2 hosts: 1 done, 1 unreachable" in done.out
    assert bench.hosts["h1"].running()
    assert tree(bench.hosts["h2"].root) == before


def test_a_host_whose_systemd_hangs_keeps_what_it_has_and_says_what_to_look_at(bench: Bench) -> None:
    bench("apply", "--yes")
    bench.each(lambda host: host.settle())
    before = tree(bench.hosts["h1"].root)
    systemd = Systemd(bench.hosts["h1"])
    systemd.silence()
    for words in (("plan",), ("status",), ("hosts", "probe"), ("apply", "--yes")):
        done = bench(*words)
        said = done.out + done.err
        assert done.code == 6, said
        assert "systemd does not answer within 12 s" in said
        assert "Traceback" not in said
        assert "is down" not in said
        assert "TooLong" not in said
    assert "journalctl -b _PID=1" in bench("plan").out
    systemd.speak()
    assert tree(bench.hosts["h1"].root) == before
    assert bench("plan", "--detailed-exitcode").code == 0


def test_a_wrong_host_key_names_the_command_that_pins_another(bench: Bench) -> None:
    bench.hosts["h2"].unreachable = "key"
    hint = "once you know why, `deployer hosts trust h2`"
    for words in (("plan",), ("status",), ("hosts", "probe")):
        done = bench(*words)
        assert done.code == 6
        assert hint in done.out


@pytest.mark.parametrize(
    "words", [("plan",), ("apply", "--yes"), ("status",), ("history", "chat"), ("logs", "chat")], ids=" ".join
)
def test_where_nobody_answers_nothing_is_known_and_nothing_is_done(bench: Bench, words: tuple[str, ...]) -> None:
    bench("apply", "--yes")
    bench.each(lambda host: host.settle())
    bench.each(lambda host: setattr(host, "unreachable", "timeout"))
    before = bench.world()
    done = bench(*words)
    assert done.code == 6, done.out + done.err
    assert "timed out" in done.out + done.err
    assert "never applied" not in done.out + done.err
    assert bench.world() == before


# hosts without room


def test_a_disk_without_room_is_refused_before_anything_is_sent(bench: Bench) -> None:
    bench.each(lambda host: setattr(host.machine, "disk_bytes", (1 << 30, 1 << 20)))
    before = bench.world()
    for words in (("plan",), ("apply", "--yes")):
        done = bench(*words)
        assert done.code == 4
        assert "✗ not enough disk on h1 for /opt/deployer/engines" in done.out
        assert "and 512.0 MiB spare, 1.0 MiB free: " in done.out
        assert "do: free some room (deployer prune removes what nobody uses), or set paths in the host's file\n" in done.out
    assert bench.world() == before


def test_a_disk_that_fills_up_in_the_middle_leaves_what_served(bench: Bench) -> None:
    assert bench("apply", "--yes").code == 0
    before = bench.serving()
    bench.edit("ctranslate2: {}", "ctranslate2: {quantization: int8}")
    full = OSError(errno.ENOSPC, "No space left on device", "/var/lib/deployer/models/local--tiny/x")
    bench.each(lambda host: host.faults.fail("model.convert", error=full, when="after"))
    done = bench("apply", "--yes")
    assert done.code == 5
    assert "the disk is full (/var/lib/deployer/models/local--tiny/x)" in done.out
    assert "cause   disk full\n" in done.out
    assert "do      free some space on that disk" in done.out
    assert "now     what stood before is back\n" in done.out
    assert bench.serving() == before
    bench.each(lambda host: host.faults.clear())
    assert bench("apply", "--yes").code == 0


def listens(*ports: int) -> object:
    return lambda host: furniture.write_sockets(host.root, [(port, 70_000 + port) for port in ports])


def test_a_port_in_use_is_passed_over_and_a_full_range_is_refused(bench: Bench) -> None:
    bench.each(listens(20000, 20001))  # type: ignore[arg-type]
    assert "chat/0, port 20002 " in bench("plan").out
    bench.each(listens(*range(20000, 21000)))  # type: ignore[arg-type]
    before = bench.world()
    for words in (("plan",), ("apply", "--yes")):
        done = bench(*words)
        assert done.code == 4
        assert "✗ chat/0 has no host to stand on\n    h1, h2: no free port in 20000-20999\n" in done.out
        assert "do: widen ports: in the host's file, or end what listens there\n" in done.out
    assert bench.world() == before


def test_the_gateways_port_in_use_is_refused(bench: Bench) -> None:
    bench.each(listens(8443))  # type: ignore[arg-type]
    before = bench.world()
    done = bench("apply", "--yes")
    assert done.code == 4
    assert "✗ port 8443 of h1 is in use by a program that is not ours" in done.out
    assert "gateway: {port: …} in deployer.yaml" in done.out
    assert bench.world() == before


# what goes wrong in the middle


class Killed(BaseException):
    """As by kill -9: nothing of ours handles it."""


def test_a_controller_that_is_killed_leaves_a_run_that_another_one_finishes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: object, event: Event) -> None:
        if event.type == "barrier" and event.stage == "switch" and event.state == "waiting":
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("deployer.cli.plainprogress.PlainProgress.take", die)
        with pytest.raises(Killed):
            bench("apply", "--yes")
    said = bench("status")
    assert "h1: an apply by " in said.out
    assert "is running: deployer attach" in said.out
    second = bench("apply", "--yes")
    assert second.code == 7
    assert "is applying here since" in second.out
    assert bench("attach").code == 0
    assert "● deployed" in bench("status").out
    assert bench("plan", "--detailed-exitcode").code == 0


def test_a_run_that_is_killed_on_its_host_is_undone_there_and_the_next_apply_does_it(bench: Bench) -> None:
    bench.hosts["h1"].faults.kill("unit.start")
    done = bench("apply", "--yes")
    assert done.code == 5
    assert "✗ h1 chat: start chat/0: the run on the host was killed" in done.out
    assert "    now     what stood before is back" in done.out
    assert "not finished" not in bench("status").out
    assert bench("apply", "--yes").code == 0
    assert bench("plan", "--detailed-exitcode").code == 0


def test_a_run_that_goes_down_with_its_host_is_undone_first_by_the_next_apply(bench: Bench) -> None:
    bench.hosts["h1"].faults.cut_power("unit.start")
    done = bench("apply", "--yes")
    assert done.code == 6
    assert "✗ h1  lost: the run ended without a report: it was killed, or the host went down" in done.out
    assert "    deployer plan shows what it left, and undoes it\n" in done.out
    assert "was not finished: deployer plan undoes or finishes it" in bench("status").out
    assert "put back what it had begun" in bench("plan").out
    assert bench("apply", "--yes").code == 0
    assert bench("plan", "--detailed-exitcode").code == 0


NEEDS = "ValueError: Requested int8 compute type, but the target device or backend do not support efficient int8 computation."


def test_a_model_that_fails_to_load_gives_the_old_one_back_with_cause_advice_and_line(bench: Bench) -> None:
    assert bench("apply", "--yes").code == 0
    before = bench.serving()
    bench.edit("ctranslate2: {}", "ctranslate2:\n    compute_type: int8")
    bench.each(lambda host: host.break_engine("int8", NEEDS))
    done = bench("apply", "--yes")
    assert done.code == 5
    lines = done.out.splitlines()
    at = lines.index("✗ h1 chat: chat/0 did not become ready: it ended and was started again 1 time (exit status 1)")
    cause, advice, now, log, last = lines[at + 1 : at + 6]
    assert cause == "    cause   this device cannot compute in int8"
    assert advice == "    do      deployments/chat.yaml:5  engine.ctranslate2.compute_type: default"
    assert now == "    now     what stood before is back"
    assert log == f"      | {NEEDS}"
    assert last == "    log     deployer logs chat --failure"
    assert bench.serving() == before
    status = bench("status")
    assert "● deployed  1    1/1 " in status.out
    said = r"chat: the last apply failed \d+ s ago: this device cannot compute in int8   deployer logs chat --failure"
    assert re.search(said, status.out)
    assert NEEDS in bench("logs", "chat", "--failure").out


def test_a_first_start_that_fails_leaves_nothing_that_runs(bench: Bench) -> None:
    bench.each(lambda host: host.break_engine("chat", "RuntimeError: CUDA out of memory"))
    done = bench("apply", "--yes")
    assert done.code == 5
    assert "cause   the GPU ran out of memory" in done.out
    assert [unit for host in bench.hosts.values() for unit in host.running() if "gateway" not in unit] == []
    assert "chat  ○ pending" in bench("status").out


def test_a_secret_that_is_not_at_hand_is_refused_before_anything_is_begun(bench: Bench) -> None:
    bench.edit("{open: true}", "{keys: [{name: a, secret: {env: NO_SUCH_KEY}}]}")
    before = bench.world()
    planned = bench("plan")
    assert planned.code == 0
    assert "the secret env:NO_SUCH_KEY is not at hand here; apply needs it for h1\n" in planned.out
    assert "before apply: export NO_SUCH_KEY=…\n" in planned.out
    done = bench("apply", "--yes")
    assert done.code == 4
    assert "✗ h1: the secret env:NO_SUCH_KEY is not at hand, and this plan needs it on h1" in done.err
    assert bench.world() == before


def test_hosts_of_a_bench_differ(bench: Bench) -> None:
    """The comparisons above would say yes to anything if an apply left no trace."""
    before, served = bench.world(), bench.serving()
    assert bench("apply", "--yes").code == 0
    assert bench.world() != before
    assert bench.serving() != served
    assert isinstance(bench.hosts["h1"], FakeHost)
