"""What is never taken away by mistake: what no file names, what is protected, what is not ours. Through `main`, over fake hosts
with the real agent.
"""

from pathlib import Path

import pytest

from deployer.cli import confirm, console
from tests.cli.conftest import DEPLOYMENT
from tests.cli.fakehosts import Bench, Tree, bench, tree

__all__ = ["bench"]

CHAT = "deployments/chat.yaml"
UNITS = "etc/systemd/system"


@pytest.fixture
def applied(bench: Bench) -> Bench:
    assert bench("apply", "--yes").code == 0
    return bench


def up(bench: Bench) -> list[str]:
    return [unit for host in bench.hosts.values() for unit in host.running() if "-chat-" in unit]


# what no file names


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the person at the terminal says, question by question; the questions stand in `asked`."""
    said: list[str] = []
    monkeypatch.setattr(console, "interactive", lambda: True)
    monkeypatch.setattr(confirm, "_ask", lambda question: said.pop(0) if said else pytest.fail(f"asked: {question}"))
    return said


def orphan(bench: Bench) -> None:
    (bench.root / CHAT).unlink()


def test_yes_alone_never_prunes(applied: Bench) -> None:
    orphan(applied)
    before = applied.serving()
    done = applied("apply", "--yes")
    assert done.code == 0
    assert "chat is on h1 but in no file; it stays" in done.out
    assert applied.serving() == before
    assert applied("apply", "--yes", "--prune").code == 0
    assert up(applied) == []


def test_at_a_terminal_what_no_file_names_is_asked_about_on_its_own(applied: Bench, answers: list[str]) -> None:
    orphan(applied)
    (applied.root / "deployments/other.yaml").write_text(DEPLOYMENT.replace("name: chat", "name: other"))
    before = up(applied)
    answers[:] = ["y", "n"]
    done = applied("apply", "--prune")
    assert done.code == 0, done.err
    assert answers == []
    assert up(applied) == before
    assert [u for host in applied.hosts.values() for u in host.running() if "-other-" in u]
    answers[:] = ["y", "y"]
    assert applied("apply", "--prune").code == 0
    assert up(applied) == []


def test_a_person_who_asked_for_prune_or_destroy_is_asked_once(applied: Bench, answers: list[str]) -> None:
    orphan(applied)
    answers[:] = ["n"]
    assert applied("prune").code == 0
    assert len(up(applied)) == 1
    answers[:] = ["y"]
    assert applied("destroy", "chat").code == 0
    assert up(applied) == []


# the share of the fleet


def test_a_plan_that_stops_most_of_the_fleet_wants_allow(bench: Bench) -> None:
    bench.edit("name: h1\n", "name: h1\ngateway: true\n", "hosts/h1.yaml")
    bench.edit("name: chat\n", "name: chat\nreplicas: 4\n")
    assert bench("apply", "--yes").code == 0
    before = bench.serving()
    for words in (("stop", "chat"), ("destroy", "chat")):
        done = bench(*words, "--yes")
        assert done.code == 4
        assert "this stops 4 of 4 running replicas of the fleet" in done.out
        assert bench.serving() == before
    bench.edit("replicas: 4\n", "replicas: 1\n")
    assert bench("apply", "--yes").code == 4
    assert bench("apply", "--yes", "--allow").code == 0
    assert len(up(bench)) == 1


# what is protected


@pytest.fixture
def protected(bench: Bench) -> Bench:
    bench.edit("tags: [prod]\n", "tags: [prod]\nprotected: true\n")
    assert bench("apply", "--yes").code == 0
    return bench


def test_what_is_protected_is_neither_destroyed_nor_pruned_also_once_its_file_is_gone_or_says_otherwise(protected: Bench) -> None:
    before = protected.serving()
    assert protected("destroy", "chat", "--yes").code == 4
    protected.edit("protected: true\n", "")
    done = protected("destroy", "chat", "--yes")
    assert done.code == 4
    assert "chat is protected" in done.out
    orphan(protected)
    for words in (("prune",), ("apply", "--prune"), ("destroy", "chat")):
        assert protected(*words, "--yes", "--allow").code == 4, words
    assert protected.serving() == before


def test_what_is_protected_can_be_updated_stopped_started_and_moved(protected: Bench) -> None:
    protected.edit("tags: [prod]\n", "tags: [other]\n")
    assert protected("apply", "--yes").code == 0
    assert protected("stop", "chat", "--yes").code == 0
    assert protected("start", "chat", "--yes").code == 0
    protected.edit("name: h1\n", "name: h1\nstate: retired\n", "hosts/h1.yaml")
    assert protected("apply", "--yes").code == 0
    assert [len([u for u in h.running() if "-chat-" in u]) for h in protected.hosts.values()] == [0, 1]
    protected.edit("protected: true\n", "protected: false\n")
    assert protected("apply", "--yes").code == 0
    assert protected("destroy", "chat", "--yes").code == 0
    assert up(protected) == []


# what is not ours


def foreign(root: Path) -> Tree:
    """Things that look like ours and are not."""
    (root / UNITS).mkdir(parents=True, exist_ok=True)
    ours = "[X-Deployer]\nFleet=acme\nFleetId=0123abcd\n"
    written = {
        f"{UNITS}/deployer-acme-chat-9-deadbeef.service": "[Service]\nExecStart=/bin/hand-made\n",
        f"{UNITS}/deployer-acme-writer-0-deadbeef.service": "# Made by deployer for fleet acme, id ffff0000.\n[Service]\n",
        f"{UNITS}/deployer-acme-late-0-deadbeef.service": "[Service]\n"
        + "#\n" * 11
        + "# Made by deployer for fleet acme, id 0123abcd.\n",
        f"{UNITS}/deployer-acme-said-0-deadbeef.service": f"[Unit]\nDescription=id 0123abcd\n[Service]\nExecStart=/x\n{ours}",
        f"{UNITS}/deployer-acmex-chat-0-deadbeef.service": "[Service]\n",
        f"{UNITS}/my-vllm.service": "[Unit]\nDescription=deployer-acme-chat-0\n[Service]\n",
        f"{UNITS}/my-vllm.service.d/override.conf": "[Service]\nEnvironment=A=1\n",
        "etc/deployer/acmex/chat/keys": "not acme's\n",
        "var/lib/deployer/acmex/fleet.json": '{"id": "ffff0000", "name": "acmex"}',
        "var/lib/deployer/models/hand--made/weights/model.bin": "weights",
        "opt/deployer/engines/hand-made/bin/python": "#!/bin/sh\n",
    }
    for name, text in written.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    link = root / UNITS / "deployer-acme-link-0-deadbeef.service"
    link.symlink_to("my-vllm.service")
    return {name: (root / name).read_bytes() for name in [*written, f"{UNITS}/{link.name}"]}


def test_what_only_looks_like_ours_is_never_touched_by_anything(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ordered: list[list[str]] = []
    for host in bench.hosts.values():
        plain = host.machine.units.call
        monkeypatch.setattr(host.machine.units, "call", lambda w, plain=plain: ordered.append(list(w)) or plain(w))
    there = {name: foreign(host.root) for name, host in bench.hosts.items()}

    def untouched() -> bool:
        return all((bench.hosts[n].root / p).read_bytes() == b for n, found in there.items() for p, b in found.items())

    steps = (
        ("apply", "--yes"),
        ("stop", "chat", "--yes"),
        ("start", "chat", "--yes"),
        ("restart", "chat", "--yes"),
        ("hosts", "drain", "h1", "--yes"),
        ("destroy", "chat", "--yes", "--allow"),
        ("prune", "--yes", "--allow"),
        ("apply", "--yes", "--prune"),
    )
    for words in steps:
        done = bench(*words)
        assert done.code == 0, (words, done.out, done.err)
        assert untouched(), words
    for host in bench.hosts.values():
        assert (host.root / UNITS / "deployer-acme-link-0-deadbeef.service").is_symlink()
    changing = [
        words for words in ordered if words[0] in ("start", "stop", "restart", "enable", "disable", "kill", "reset-failed")
    ]
    assert [words for words in changing if "-chat-0" in " ".join(words)]
    assert not [words for words in changing if "deadbeef" in " ".join(words) or "my-vllm" in " ".join(words)]


def test_a_unit_that_stands_where_ours_must_go_is_refused_and_stays(bench: Bench) -> None:
    change = next(c for c in bench.json("plan")["changes"] if c["resource"].startswith("replica:"))
    path = bench.hosts[change["host"]].root / UNITS / change["after"]["payload"]["unit"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[Service]\nExecStart=/bin/hand-made\n")
    before = tree(bench.hosts[change["host"]].root, UNITS)
    done = bench("apply", "--yes")
    assert done.code == 4
    assert "that is not ours" in done.out
    assert tree(bench.hosts[change["host"]].root, UNITS) == before
