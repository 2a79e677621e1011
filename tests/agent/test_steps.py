"""Steps one by one: what they make, what they refuse, and that an undo restores the host byte for byte."""

import hashlib
import json
import stat
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.agent import wire
from deployer.agent.peers import blocks
from deployer.agent.steps import STEPS
from deployer.transport.fake import FakeHost
from tests.agent.support import (
    ENV,
    FLEET,
    GATEWAY,
    HEADER,
    MODEL,
    OTHER,
    Run,
    ask,
    connect,
    deployment,
    marked,
    probe,
    record,
    run_request,
    sha256,
    step,
    transaction,
    tree,
    unit_name,
    unit_text,
)

WORDS = "/etc/deployer/acme"


def one(host: FakeHost, *steps: dict[str, Any], **more: Any) -> Run:
    return Run(host, run_request(transaction("t", *steps), **more))


def put(host: FakeHost, *blobs: bytes) -> None:
    """Blobs on the host, by the real verb."""
    channel = connect(host).open("put", {"fleet": FLEET, "blobs": [{"sha256": sha256(b), "size": len(b)} for b in blobs]})
    left = list(blobs)
    for line in channel.lines():
        if line["type"] == "want":
            channel.send_bytes(next(b for b in left if sha256(b) == line["sha256"])[line["offset"] :])


# property: whatever was done is undone, wherever it stopped


def _choices() -> list[dict[str, Any]]:
    unit, other = unit_name(), unit_name("chat", 1)
    return [
        step("switch", "file.write", "a", path=f"{WORDS}/a", content="new a"),
        step("switch", "file.write", "deep", path=f"{WORDS}/x/y/z", content="deep", mode="0600"),
        step("switch", "file.write", "mode", path=f"{WORDS}/b", content="new b", mode="0640"),
        step("switch", "file.write", "secret", path=f"{WORDS}/s", secret="env:S"),
        step("switch", "file.remove", "gone", path=f"{WORDS}/b"),
        step("switch", "file.remove", "folder", path=f"{WORDS}/empty"),
        step("switch", "file.write", "unit", path=f"{wire.UNITS}/{unit}", content=unit_text(20007)),
        step("switch", "file.write", "unit2", path=f"{wire.UNITS}/{other}", content=unit_text(20008)),
        step("switch", "file.remove", "unit gone", path=f"{wire.UNITS}/{unit}"),
        step("switch", "systemd.reload", "reload"),
        step("switch", "unit.stop", "stop", unit=unit, timeout_s=5.0),
        step("switch", "unit.enable", "enable", unit=unit),
        step("switch", "unit.disable", "disable", unit=unit),
        step("switch", "record", "record", deployment="chat", record=record("chat", 2)),
        step("switch", "record", "forget", deployment="chat", record=None),
        step("switch", "package.install", "package", name="haproxy"),
        step("switch", "gateway.keys", "keys", path=f"{WORDS}/_gateway/chat.keys", keys=[{"name": "k", "sha256": "a" * 64}]),
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=st.lists(st.integers(0, 16), min_size=1, max_size=8),
    where=st.integers(0, 7),
    when=st.sampled_from(["before", "after"]),
)
def test_do_and_undo_leave_the_host_as_it_was(chosen: list[int], where: int, when: str) -> None:
    host = FakeHost("gpu-01")
    Run(host, run_request(deployment()))
    for name, text in (("a", "old a"), ("b", "old b")):
        host.path(f"{WORDS}/{name}").write_text(text, encoding="utf-8")
    host.path(f"{WORDS}/b").chmod(0o600)
    host.path(f"{WORDS}/empty").mkdir()
    before, running = tree(host.root), host.running()
    steps = [dict(_choices()[n], label=f"step-{i}") for i, n in enumerate(chosen)]
    failing = steps[min(where, len(steps) - 1)]
    host.faults.fail(failing["kind"], failing["label"], when=when)
    last = step("switch", "endpoint.ready", "last", url="http://127.0.0.1:1/x", body={}, deadline_s=0.0)
    run = one(host, *steps, last, secrets={"env:S": "value"})
    assert run.result == "rolled-back"
    assert tree(host.root) == before
    assert host.running() == running


def test_every_step_of_the_contract_is_known() -> None:
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs/lifecycle.md").read_text(encoding="utf-8")
    table = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {word for cell in table for word in cell.split("`")[1::2]}
    assert named == set(STEPS)


# files


def test_a_file_keeps_what_shells_and_units_would_eat(host: FakeHost) -> None:
    content = "a'b\"c$d%e\\f\té\u2603\n"
    assert one(host, step("switch", "file.write", path=f"{WORDS}/odd", content=content)).result == "done"
    assert host.path(f"{WORDS}/odd").read_text(encoding="utf-8") == content


def test_a_directory_that_is_not_empty_is_kept(host: FakeHost) -> None:
    host.path(f"{WORDS}/d").mkdir(parents=True)
    host.path(f"{WORDS}/d/x").write_text("x", encoding="utf-8")
    run = one(host, step("switch", "file.remove", path=f"{WORDS}/d"))
    assert run.result == "done"
    assert host.path(f"{WORDS}/d/x").exists()


def test_a_tree_is_removed_only_below_the_fleets_own_roots(host: FakeHost) -> None:
    for path in (f"{WORDS}/d", "/etc/deployer/other/d", "/srv/d"):
        host.path(path).mkdir(parents=True)
    assert one(host, step("finish", "tree.remove", path=f"{WORDS}/d")).result == "done"
    assert not host.path(f"{WORDS}/d").exists()
    for path in ("/etc/deployer/other/d", "/srv/d", "/etc/deployer"):
        assert one(host, step("finish", "tree.remove", path=path)).result == "rolled-back"
        assert host.path(path).exists()


def test_the_request_log_of_a_dynamic_user_goes_with_the_directory_that_it_is_a_link_to(host: FakeHost) -> None:
    for name in ("chat", "other"):
        kept = host.path(f"/var/log/private/deployer/acme/{name}/0")
        kept.mkdir(parents=True)
        (kept / "requests.jsonl").write_text("{}", encoding="utf-8")
        link = host.path(f"/var/log/deployer/acme/{name}/0")
        link.parent.mkdir(parents=True)
        link.symlink_to(kept)
    assert one(host, step("finish", "tree.remove", path="/var/log/deployer/acme/chat")).result == "done"
    assert not host.path("/var/log/private/deployer/acme/chat").exists()
    assert not host.path("/var/log/deployer/acme/chat").exists()
    assert host.path("/var/log/deployer/acme/other/0/requests.jsonl").exists()


def test_a_link_out_of_the_fleets_roots_is_not_followed(host: FakeHost) -> None:
    outside = host.path("/srv/precious")
    outside.mkdir(parents=True)
    (outside / "x").write_text("x", encoding="utf-8")
    host.path(WORDS).mkdir(parents=True)
    host.path(f"{WORDS}/link").symlink_to(outside)
    one(host, step("finish", "tree.remove", path=f"{WORDS}/link"))
    assert (outside / "x").exists()


# artifacts


def test_a_tool_is_pushed_and_complete_only_with_its_marker(host: FakeHost) -> None:
    program = b"#!/bin/sh\necho uv\n"
    put(host, program)
    path = "/opt/deployer/engines/uv-1"
    steps = [
        step("artifacts", "blob.receive", blobs=[{"sha256": sha256(program), "size": len(program)}]),
        step("artifacts", "tool.install", path=path, name="uv-1", digest="d", sha256=sha256(program), executable="uv"),
    ]
    assert one(host, *steps).result == "done"
    assert host.path(f"{path}/uv").read_bytes() == program
    assert stat.S_IMODE(host.path(f"{path}/uv").stat().st_mode) == 0o755
    found = probe(host, verify=True)["artifacts"]
    assert [(a["path"], a["kind"], a["complete"], a["verified"]) for a in found] == [(path, "tool", True, True)]
    assert list(host.path(wire.ROOT_BLOBS).iterdir()) == []
    host.path(f"{path}/uv").write_bytes(b"rotten")
    assert probe(host, verify=True)["artifacts"][0]["verified"] is False


def test_a_blob_that_never_comes_fails_with_a_word(host: FakeHost) -> None:
    run = one(host, step("artifacts", "blob.receive", blobs=[{"sha256": "a" * 64, "size": 5}], stall_s=0.05))
    assert run.result == "rolled-back"
    assert "no bytes came" in run.report["transactions"]["t"]["message"]


def build(**more: Any) -> dict[str, Any]:
    args = {"path": ENV, "name": "ct2-1", "digest": "d", "uv": "/opt/deployer/engines/uv-1/uv", "python": "3.11"}
    args |= {
        "requirements": "x==1 --hash=sha256:0\n",
        "index_url": "https://user:pw@index/simple",
        "extra_index_urls": [],
        "wheels": [],
    }
    return step("artifacts", "env.build", "env", **{**args, **more})


def test_an_environment_is_built_and_its_index_is_in_no_argument(host: FakeHost) -> None:
    assert one(host, build()).result == "done"
    assert probe(host)["artifacts"][0]["complete"] is True
    assert all("user:pw" not in word for argv in host.machine.ran for word in argv)
    sync = next(argv for argv in host.machine.ran if "sync" in argv)
    assert {"--require-hashes", "--only-binary", "--no-config"} <= set(sync)


def test_a_host_without_the_python_is_told_so(host: FakeHost) -> None:
    run = one(host, build(python="3.14"))
    assert "no Python 3.14" in run.report["transactions"]["t"]["message"]
    assert not host.path(ENV).exists()


def test_an_index_that_cannot_be_reached_is_a_cause(host: FakeHost) -> None:
    host.machine.offline = True
    before = tree(host.root)
    run = one(host, build())
    assert run.report["transactions"]["t"]["cause"] == "the host cannot reach the package index"
    left = {path for path in tree(host.root) if path not in before and not path.startswith("/var/cache")}
    assert left == set()


def test_an_environment_that_a_crash_left_is_built_again(host: FakeHost) -> None:
    host.faults.cut_power("env.build", when="after")
    host.machine.faults.fail("env.build", when="never")
    Run(host, run_request(transaction("t", build())))
    host.path(f"{ENV}/{wire.MARKER}").unlink()
    host.path(f"{ENV}/.deployer.incomplete").write_text("{}", encoding="utf-8")
    host.path(f"{ENV}/half").write_text("half", encoding="utf-8")
    assert probe(host)["artifacts"][0]["complete"] is False
    assert one(host, build()).result == "done"
    assert not host.path(f"{ENV}/half").exists()


def test_a_directory_of_somebody_else_is_not_built_over(host: FakeHost) -> None:
    host.path(ENV).mkdir(parents=True)
    host.path(f"{ENV}/theirs").write_text("x", encoding="utf-8")
    run = one(host, build())
    assert "was not made by deployer" in run.report["transactions"]["t"]["message"]
    assert host.path(f"{ENV}/theirs").exists()


def download(**more: Any) -> dict[str, Any]:
    files = [
        {"path": "config.json", "size": 10, "digest": "sha256:" + "0" * 64},
        {"path": "model.safetensors", "size": 8 << 30, "digest": "sha256:" + "1" * 64},
    ]
    args = {
        "path": MODEL,
        "name": "org--tiny/aaa",
        "digest": "d",
        "repo": "org/tiny",
        "commit": "c" * 40,
        "files": files,
        "env": ENV,
    }
    return step("artifacts", "model.download", "model", **{**args, "endpoint": None, "token": None, **more})


def test_a_download_shows_how_far_it_is_and_is_whole_at_the_end(host: FakeHost) -> None:
    run = one(host, download())
    assert run.result == "done"
    told = [e["data"] for e in run.events if e.get("state") == "progress"]
    assert any(0 < d["done"] < d["total"] and d.get("rate") for d in told)
    assert probe(host)["artifacts"][0]["bytes"] >= 8 << 30
    assert not host.path(MODEL + ".part").exists()


def test_a_token_goes_to_the_download_and_nowhere_else(host: FakeHost) -> None:
    run = one(host, download(token="env:HF_TOKEN"), secrets={"env:HF_TOKEN": "hf_poison"})
    assert host.machine.tokens == ["hf_poison"]
    assert "hf_poison" not in json.dumps(run.events)
    assert all("hf_poison" not in word for argv in host.machine.ran for word in argv)


@pytest.mark.parametrize(
    ("error", "cause"),
    [("GatedRepoError", "gated"), ("RepositoryNotFoundError", "does not exist"), ("RevisionNotFoundError", "locked commit")],
)
def test_the_hubs_no_is_a_cause_and_is_not_tried_again(host: FakeHost, error: str, cause: str) -> None:
    host.machine.hub_error = (error, "403 for hf_poison")
    run = one(host, download(token="env:HF_TOKEN"), secrets={"env:HF_TOKEN": "hf_poison"})
    told = run.report["transactions"]["t"]
    assert cause in told["cause"]
    assert "hf_poison" not in json.dumps(run.events)
    assert len(host.machine.tokens) == 1
    assert not host.path(MODEL + ".part").exists()


def test_a_broken_connection_is_tried_again(host: FakeHost) -> None:
    host.machine.hub_error = ("ConnectError", "connection reset")
    run = one(host, download())
    assert run.result == "rolled-back"
    assert len(host.machine.tokens) == 3


def test_a_disk_that_is_too_small_is_said_before_the_download(host: FakeHost) -> None:
    host.machine.disk_bytes = (10 << 30, 1 << 30)
    run = one(host, download())
    assert "not enough room" in run.report["transactions"]["t"]["message"]
    assert host.machine.tokens == []


def test_a_pushed_model_is_checked_file_by_file(host: FakeHost) -> None:
    config, weights = b'{"a": 1}', b"w" * 1000
    put(host, config, weights)
    git = hashlib.sha1(b"blob %d\0" % len(config) + config).hexdigest()
    files = [
        {"path": "config.json", "size": len(config), "digest": "sha256:" + sha256(config)},
        {"path": "sub/model.bin", "size": len(weights), "digest": "sha256:" + sha256(weights)},
    ]
    assert one(host, step("artifacts", "model.push", path=MODEL, name="m", digest="d", files=files)).result == "done"
    assert host.path(f"{MODEL}/sub/model.bin").read_bytes() == weights
    assert stat.S_IMODE(host.path(f"{MODEL}/config.json").stat().st_mode) == 0o644
    from deployer.agent import files as agent_files

    assert agent_files.matches(host.machine, f"{MODEL}/config.json", "git-sha1:" + git)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", wire.MARKER, "a//b"])
def test_a_model_file_cannot_leave_its_directory(host: FakeHost, path: str) -> None:
    put(host, b"x")
    files = [{"path": path, "size": 1, "digest": "sha256:" + sha256(b"x")}]
    assert one(host, step("artifacts", "model.push", path=MODEL, name="m", digest="d", files=files)).result == "rolled-back"


def test_a_converted_model_is_made_by_the_environments_program(host: FakeHost) -> None:
    marked(host, MODEL, "model")
    target = "/var/lib/deployer/models/org--tiny/int8"
    argv = ["ct2-transformers-converter", "--model", "{source}", "--output_dir", "{target}"]
    run = one(host, step("artifacts", "model.convert", path=target, name="int8", digest="e", source=MODEL, env=ENV, argv=argv))
    assert run.result == "done"
    found = {a["path"]: a for a in probe(host, verify=True)["artifacts"]}[target]
    assert (found["complete"], found["verified"]) == (True, True)
    ran = next(a for a in host.machine.ran if a[0].endswith("converter"))
    assert ran[0] == str(host.path(f"{ENV}/bin/ct2-transformers-converter"))


def test_files_in_folders_of_the_source_keep_their_places_beside_a_converted_model(host: FakeHost) -> None:
    marked(host, MODEL, "model")
    host.path(f"{MODEL}/1_Pooling").mkdir()
    host.path(f"{MODEL}/1_Pooling/config.json").write_text("{}")
    args = {"name": "int8", "digest": "e", "source": MODEL, "env": ENV, "argv": ["ct2-transformers-converter", "{target}"]}
    target = "/var/lib/deployer/models/org--tiny/int8"
    run = one(host, step("artifacts", "model.convert", path=target, nested=["1_Pooling/config.json"], **args))
    assert run.result == "done"
    assert host.path(f"{target}/1_Pooling/config.json").read_text() == "{}"
    assert host.path(f"{target}/1_Pooling").stat().st_mode & 0o005 == 0o005
    for name in ("../../../etc/x", "/etc/passwd", "config.json"):
        refused = one(host, step("artifacts", "model.convert", path=target + "-2", nested=[name], **args))
        assert refused.result == "rolled-back"


def test_an_artifact_in_use_is_kept_and_an_unused_one_goes(host: FakeHost) -> None:
    marked(host, MODEL, "model")
    resource = {"kind": "model", "name": "m", "payload": {"path": MODEL}}
    Run(
        host,
        run_request(
            transaction("o", step("finish", "record", deployment="chat", record=record("chat", 1, resource))), fleet=OTHER
        ),
    )
    remove = step("finish", "artifact.remove", path=MODEL)
    assert "another fleet" in _message(one(host, remove))
    assert host.path(MODEL).exists()
    Run(host, run_request(transaction("o", step("finish", "record", deployment="chat", record=None)), fleet=OTHER))
    assert one(host, remove).result == "done"
    assert not host.path("/var/lib/deployer/models").exists()


def test_what_an_earlier_revision_stands_on_is_kept_until_it_is_forgotten(host: FakeHost) -> None:
    marked(host, MODEL, "model")
    resource = {"kind": "model", "name": "m", "payload": {"path": MODEL}}
    for number, of in ((1, [resource]), (2, []), (3, [])):
        one(host, step("finish", "record", deployment="chat", record=record("chat", number, *of)))
    found = probe(host)["history"]["chat"]
    assert [(e["revision"], e["paths"]) for e in found] == [(1, [MODEL]), (2, []), (3, [])]
    remove = step("finish", "artifact.remove", path=MODEL)
    assert "a deployment of this fleet" in _message(one(host, remove))
    drop = step("finish", "revisions.drop", deployment="chat", numbers=[1, 2])
    assert _message(one(host, drop)) == "2 forgotten"
    assert [e["revision"] for e in probe(host)["history"]["chat"]] == [3]
    assert one(host, remove).result == "done"
    assert not host.path(MODEL).exists()


def test_revisions_that_were_forgotten_come_back_when_a_later_step_fails_and_the_one_that_stands_never_goes(
    host: FakeHost,
) -> None:
    for number in (1, 2):
        one(host, step("finish", "record", deployment="chat", record=record("chat", number)))
    drop = step("finish", "revisions.drop", deployment="chat", numbers=[1])
    fails = step("finish", "unit.start", unit="sshd.service")
    before = probe(host)["history"]
    assert one(host, drop, fails).result == "rolled-back"
    assert probe(host)["history"] == before
    assert one(host, step("finish", "revisions.drop", deployment="chat", numbers=[2])).result != "done"
    assert probe(host)["history"] == before


def _message(run: Run) -> str:
    return next(e["message"] for e in run.events if e.get("state") == "done")


def test_a_directory_without_our_marker_is_never_removed(host: FakeHost) -> None:
    host.path("/srv/models/x").mkdir(parents=True)
    assert one(host, step("finish", "artifact.remove", path="/srv/models/x")).result == "rolled-back"
    assert host.path("/srv/models/x").exists()


# packages and the gateway


def test_haproxy_is_installed_without_its_own_service_and_goes_with_what_came_along(host: FakeHost) -> None:
    before = tree(host.root)
    assert one(host, step("artifacts", "package.install", name="haproxy")).result == "done"
    assert probe(host)["packages"]["haproxy"] == "2.6.12-1+deb12u3"
    assert one(host, step("finish", "package.remove", name="haproxy")).result == "done"
    after = tree(host.root)
    assert {path: what for path, what in after.items() if path in before} == before
    assert probe(host)["packages"]["haproxy"] is None


def test_a_haproxy_that_was_there_before_is_left(host: FakeHost) -> None:
    from deployer.transport.simulation import furniture

    furniture.set_packages(host.root, {"haproxy": "2.6"})
    one(host, step("artifacts", "package.install", name="haproxy"))
    assert "here before us" in _message(one(host, step("finish", "package.remove", name="haproxy")))
    assert probe(host)["packages"]["haproxy"] == "2.6"


CONFIG = "frontend f\n    bind 127.0.0.1:8443\n"
ROUTE = """backend be_chat
    http-request set-var(txn.key) req.hdr(authorization),map_str(/etc/deployer/acme/_gateway/chat.keys)
    server s0 127.0.0.1:20000
"""


def gateway_steps(route: str = ROUTE) -> list[dict[str, Any]]:
    folder = f"{WORDS}/_gateway"
    text = f"{HEADER}[Service]\nExecStart=/usr/sbin/haproxy -Ws -f {folder}\n[Install]\nWantedBy=multi-user.target\n"
    return [
        step("gateway", "file.write", "base", path=f"{folder}/00-base.cfg", content=CONFIG),
        step("gateway", "gateway.keys", "keys", path=f"{folder}/chat.keys", keys=[{"name": "team-a", "secret": "env:KEY"}]),
        step("gateway", "file.write", "route", path=f"{folder}/10-chat.cfg", content=route),
        step("gateway", "file.write", "unit", path=f"{wire.UNITS}/{GATEWAY}", content=text),
        step("gateway", "systemd.reload"),
        step("gateway", "gateway.reload", unit=GATEWAY, config_dir=folder),
        step("gateway", "endpoint.ready", url="http://127.0.0.1:8443/chat/v1/chat/completions", body={"m": 1}, deadline_s=5.0),
    ]


def test_the_endpoint_answers_through_the_gateway_with_the_hosts_own_key(host: FakeHost) -> None:
    run = Run(host, run_request(deployment(), transaction("gw", *gateway_steps()), secrets={"env:KEY": "sk-1"}))
    assert run.result == "done"
    lines = host.path(f"{WORDS}/_gateway/chat.keys").read_text(encoding="utf-8").splitlines()
    assert f"{sha256(b'sk-1')} team-a" in lines
    assert [line.partition(" ")[2] for line in lines] == [":probe", "team-a"]
    assert stat.S_IMODE(host.path(f"{WORDS}/_gateway/chat.keys").stat().st_mode) == 0o600


def test_a_key_that_is_not_at_hand_keeps_its_line(host: FakeHost) -> None:
    Run(host, run_request(deployment(), transaction("gw", *gateway_steps()), secrets={"env:KEY": "sk-1"}))
    keys = next(s for s in gateway_steps() if s["kind"] == "gateway.keys")
    assert one(host, keys).result == "done"
    assert f"{sha256(b'sk-1')} team-a" in host.path(f"{WORDS}/_gateway/chat.keys").read_text(encoding="utf-8")
    missing = step("gateway", "gateway.keys", path=f"{WORDS}/_gateway/chat.keys", keys=[{"name": "new", "secret": "env:NEW"}])
    assert one(host, missing).result == "rolled-back"


PEERS = f"{WORDS}/_gateway/peers.pem"


def certificate(word: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{word}\n-----END CERTIFICATE-----\n"


def peers_run(host: FakeHost, hosts: dict[str, str | None], brought: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Runs the step with these wanted hosts; the line `locked`, and what the host trusts afterwards."""
    channel = connect(host).open("start", run_request(transaction("t", step("gateway", "gateway.peers", hosts=hosts))))
    locked: dict[str, Any] = {}
    for event in channel.lines():
        locked = event if event["type"] == "locked" else locked
        if event["type"] == "barrier" and event["state"] == "waiting":
            channel.send({"open": event["stage"], "data": {"certificates": brought}})
    return locked, blocks(host.path(PEERS).read_bytes())


def test_certificates_of_hosts_in_the_run_come_with_the_barrier_and_the_others_stay(host: FakeHost) -> None:
    wanted: dict[str, str | None] = {"gpu-02": None, "gpu-03": certificate("probed")}
    locked, trusted = peers_run(host, wanted, {"gpu-02": certificate("two"), "gpu-09": certificate("stranger")})
    own = locked["certificate"]
    assert trusted == {"gpu-01": own, "gpu-02": certificate("two"), "gpu-03": certificate("probed")}
    again, trusted = peers_run(host, {**wanted, "gpu-03": None}, {})
    assert again["certificate"] == own, "made once"
    assert trusted == {"gpu-01": own, "gpu-02": certificate("two"), "gpu-03": certificate("probed")}
    _, trusted = peers_run(host, {"gpu-02": None}, {"gpu-02": certificate("reinstalled")})
    assert trusted == {"gpu-01": own, "gpu-02": certificate("reinstalled")}
    found = probe(host)["peer"]
    assert found["certificate"] == own
    assert set(found["known"]) == {"gpu-01", "gpu-02"}
    secret = host.path("/var/lib/deployer/acme/peer.pem")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert "PRIVATE KEY" in secret.read_text(encoding="ascii")
    assert "PRIVATE KEY" not in json.dumps([locked, found]) + host.path(PEERS).read_text(encoding="ascii")


def test_what_is_no_certificate_is_not_written(host: FakeHost) -> None:
    run = one(host, step("gateway", "gateway.peers", hosts={"gpu-02": "# host gpu-03\nssl-engine rdrand"}))
    assert run.result == "rolled-back"
    assert not host.path(PEERS).exists()


def test_a_run_that_meets_no_other_gateway_makes_no_certificate(host: FakeHost) -> None:
    run = one(host, step("gateway", "gateway.keys", path=f"{WORDS}/k", keys=[]))
    assert "certificate" not in next(e for e in run.events if e["type"] == "locked")


def test_a_configuration_that_haproxy_refuses_changes_nothing(host: FakeHost) -> None:
    Run(host, run_request(deployment(), transaction("gw", *gateway_steps()), secrets={"env:KEY": "sk-1"}))
    before, running = tree(host.root), host.running()
    bad = transaction("gw", *gateway_steps("BROKEN\n"))
    run = Run(host, run_request(bad))
    assert run.result == "rolled-back"
    assert "does not accept" in run.report["transactions"]["gw"]["message"]
    assert (tree(host.root), host.running()) == (before, running)


def test_a_gateway_that_was_not_there_is_gone_after_an_undo(host: FakeHost) -> None:
    host.faults.fail("endpoint.ready")
    before = tree(host.root)
    run = Run(host, run_request(transaction("gw", *gateway_steps()), secrets={"env:KEY": "sk-1"}))
    assert run.result == "rolled-back"
    assert (tree(host.root), host.running()) == (before, [])


def test_an_endpoint_that_does_not_answer_is_a_failure_with_its_answer(host: FakeHost) -> None:
    run = Run(host, run_request(transaction("gw", *gateway_steps()), secrets={"env:KEY": "sk-1"}))
    assert run.result == "rolled-back"
    assert "it answers 503" in run.report["transactions"]["gw"]["message"]


# the end of it all


def test_the_last_fleets_agent_takes_its_own_traces_with_it(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    steps = [
        step("finish", "unit.stop", unit=unit_name(), timeout_s=10.0),
        step("finish", "unit.disable", unit=unit_name()),
        step("finish", "file.remove", path=f"{wire.UNITS}/{unit_name()}"),
        step("finish", "systemd.reload"),
        step("finish", "tree.remove", path=WORDS),
        step("finish", "tree.remove", path="/var/lib/deployer/acme"),
        step("finish", "agent.remove"),
    ]
    assert one(host, *steps).result == "done"
    host.settle()
    for path in (wire.ROOT_STATE, wire.ROOT_ETC, wire.ROOT_RUN, "/opt/deployer"):
        assert not host.path(path).exists() or list(host.path(path).iterdir()) == []


def test_the_agent_stays_while_another_fleet_is_there(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    ask(host, "roster", {"fleet": OTHER, "roster": {"generation": 1}})
    assert "kept" in _message(one(host, step("finish", "agent.remove")))
    assert host.path("/var/lib/deployer/other/roster.json").exists()


def test_the_parts_of_deployments_are_put_together_before_a_reload_and_taken_apart_by_its_undo(host: FakeHost) -> None:
    Run(host, run_request(deployment(), transaction("gw", *gateway_steps()), secrets={"env:KEY": "sk-1"}))
    folder = f"{WORDS}/_gateway"

    def reload(*steps: dict[str, Any]) -> Run:
        last = step("gateway", "gateway.reload", unit=GATEWAY, config_dir=folder)
        return Run(host, run_request(transaction("t", *steps, last)))

    def part(name: str, text: str) -> dict[str, Any]:
        return step("gateway", "file.write", path=f"{folder}/parts/{name}", content=text, mode="0600")

    parts = (part("10-b.listing", "b\n"), part("00-_first.listing", "backend models\n"), part("10-a.names", "1 a\n"))
    assert reload(*parts).result == "done"
    assert host.path(f"{folder}/80-models.cfg").read_text(encoding="utf-8") == "backend models\nb\n"
    assert host.path(f"{folder}/all.names").read_text(encoding="utf-8") == "1 a\n"
    assert not host.path(f"{folder}/all.entries").exists()
    before = tree(host.root)
    assert reload(part("10-c.listing", "BROKEN\n"), part("10-c.entries", "c {}\n")).result == "rolled-back"
    assert tree(host.root) == before
    assert reload(step("gateway", "file.remove", path=f"{folder}/parts/10-a.names")).result == "done"
    assert not host.path(f"{folder}/all.names").exists()
