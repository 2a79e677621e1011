"""A hand-made unit as a file of the fleet: what is understood, what is said, and what never leaves the host."""

import json

import pytest
import yaml

from deployer.app import adopting
from deployer.app.adopting import Adopted
from deployer.app.fleet import Fleet
from deployer.app.vllmflags import read
from deployer.errors import DeployerError, Refused, UsageError
from tests.agent.support import step
from tests.agent.test_steps import one
from tests.app.test_fleet import Hosts

VLLM = """\
[Unit]
Description=our model
[Service]
User=llm
Environment=HF_TOKEN=hf_abcdefghijklmnop "CUDA_VISIBLE_DEVICES=0,1" MODEL=meta-llama/Llama-3.1-8B-Instruct
Environment=VLLM_LOGGING_LEVEL=INFO
EnvironmentFile=-/etc/llm.env
LimitNOFILE=65536
ExecStart=/opt/vllm/bin/vllm serve ${MODEL} --revision main --host 0.0.0.0 --port 8000 \\
    --api-key ${CLIENT_KEY} --tensor-parallel-size=2 --max-model-len 8k --gpu-memory-utilization 0.9 \\
    --served-model-name llama llama-8b --max-num-seqs 64 --enable-prefix-caching --no-enable-chunked-prefill \\
    --hf-overrides '{"rope_theta": 1}' --swap-space 4 --ssl-keyfile /etc/key.pem
Restart=always
"""
SECRETS = ("hf_abcdefghijklmnop", "s3cr3t-of-clients", "plainly-typed")


def unit(hosts: Hosts, text: str, name: str = "llama.service") -> None:
    path = hosts["h1"].path(f"/etc/systemd/system/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    env = hosts["h1"].path("/etc/llm.env")
    env.write_text("# clients\nCLIENT_KEY=s3cr3t-of-clients\n")


def everything(found: Adopted) -> str:
    return json.dumps(found.json()) + found.text + repr(found)


def test_what_a_unit_of_vllm_says_becomes_fields_and_the_rest_is_said_aloud(loaded: Fleet, hosts: Hosts) -> None:
    unit(hosts, VLLM)
    found = loaded.adopt("h1", "llama")
    data = yaml.safe_load(found.text)
    assert data["model"] == {"repo": "meta-llama/Llama-3.1-8B-Instruct", "revision": "main"}
    assert data["engine"]["vllm"] == {
        "tensor_parallel": 2,
        "max_model_len": 8000,
        "gpu_memory_utilization": 0.9,
        "args": {"enable_prefix_caching": True, "enable_chunked_prefill": False, "hf_overrides": {"rope_theta": 1}},
    }
    assert data["batch"] == {"max_size": 64}
    assert data["endpoint"] == {"model_names": ["llama", "llama-8b"]}
    assert data["placement"] == {"hosts": ["h1"]}
    assert found.problems == ()
    left = "\n".join(found.left)
    for word in (
        "--host",
        "--port 8000",
        "--api-key",
        "--swap-space 4",
        "--ssl-keyfile",
        "User=llm",
        "LimitNOFILE=",
        "VLLM_LOGGING_LEVEL",
    ):
        assert word in left
        assert word in found.text
    assert set(found.secrets) == {"HF_TOKEN", "CLIENT_KEY", "--api-key"}


def test_no_secret_leaves_the_host(loaded: Fleet, hosts: Hosts) -> None:
    unit(hosts, VLLM.replace("${CLIENT_KEY}", "plainly-typed"))
    found = loaded.adopt("h1", "llama")
    channel = loaded.pool.connection("h1").open("unit", {"fleet": {"id": "0123abcd", "name": "acme"}, "unit": "llama.service"})
    crossed = json.dumps(list(channel.lines()))
    for secret in SECRETS:
        assert secret not in everything(found)
        assert secret not in crossed
    assert "llama-8b" in crossed


def test_a_dropin_counts_and_nothing_on_the_host_is_touched(loaded: Fleet, hosts: Hosts) -> None:
    unit(hosts, VLLM)
    dropin = hosts["h1"].path("/etc/systemd/system/llama.service.d/10-model.conf")
    dropin.parent.mkdir()
    dropin.write_text(
        "[Service]\nExecStart=\nExecStart=/opt/vllm/bin/python -m vllm.entrypoints.openai.api_server --model /srv/m\n"
    )
    folder = hosts["h1"].path("/etc")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    found = loaded.adopt("h1", "llama", "chat-2")
    assert yaml.safe_load(found.text)["model"] == {"host_path": "/srv/m"}
    adopting.write(loaded, found)
    assert (loaded.root / "deployments/chat-2.yaml").read_text() == found.text
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    with pytest.raises(UsageError, match="already"):
        adopting.write(loaded, found)
    with Fleet.load(loaded.root) as again:
        assert "chat-2" in again.spec.deployments


def test_our_own_server_is_read_from_its_configuration(loaded: Fleet, hosts: Hosts) -> None:
    unit(hosts, "[Service]\nExecStart=/opt/ct2/bin/python -I /opt/serve/serve.pyz --config /etc/chat.json\n")
    config = {"model_dir": "/srv/ct2", "model_names": ["tiny"], "port": 9000, "compute_type": "int8", "max_model_len": 512}
    hosts["h1"].path("/etc/chat.json").write_text(json.dumps(config))
    found = loaded.adopt("h1", "llama", "tiny")
    data = yaml.safe_load(found.text)
    assert data["model"] == {"host_path": "/srv/ct2"}
    assert data["engine"]["ctranslate2"] == {"compute_type": "int8", "max_model_len": 512}
    assert found.problems == ()
    assert any("port: 9000" in one for one in found.left)


@pytest.mark.parametrize(
    ("text", "name", "error", "words"),
    [
        ("[Service]\nExecStart=/usr/sbin/nginx\n", "web", Refused, "neither vLLM"),
        ("[Service]\nExecStart=/opt/vllm/bin/vllm serve org/m\n", "chat", UsageError, "there is a deployment chat"),
    ],
)
def test_what_cannot_be_taken_is_said_with_a_way_on(
    loaded: Fleet, hosts: Hosts, text: str, name: str, error: type[DeployerError], words: str
) -> None:
    unit(hosts, text, f"{name}.service")
    with pytest.raises(error, match=words) as found:
        loaded.adopt("h1", name)
    assert found.value.hint


@pytest.mark.parametrize("name", ["nothing-there", "deployer-acme-gateway", "../../etc/passwd"])
def test_units_that_are_not_there_or_ours_are_refused(loaded: Fleet, hosts: Hosts, name: str) -> None:
    with pytest.raises(DeployerError):
        loaded.adopt("h1", name)


def test_flags_in_their_other_spellings() -> None:
    found = read(["vllm", "serve", "org/m", "-tp", "4", "--max_model_len=32K", "--dtype", "bfloat16", "--seed", "-1", "stray"])
    assert found.engine == {"tensor_parallel": 4, "max_model_len": 32768, "dtype": "bfloat16", "args": {"seed": -1}}
    assert found.left == ["stray: it belongs to no option"]


def theirs(hosts: Hosts, name: str = "llama.service") -> None:
    """Up and enabled, as somebody left it."""
    text = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    unit(hosts, text, name)
    for words in (["daemon-reload"], ["enable", name], ["start", name]):
        hosts["h1"].machine.run(["systemctl", *words])


def standing(hosts: Hosts, name: str = "llama.service") -> str:
    out = hosts["h1"].machine.run(["systemctl", "show", "-p", "Id,ActiveState,UnitFileState", "--", name]).out
    return " ".join(sorted(line for line in out.decode().splitlines() if line.startswith(("ActiveState=", "UnitFileState="))))


UP = "ActiveState=active UnitFileState=enabled"


def test_ours_takes_over_and_theirs_ends_only_then(loaded: Fleet, hosts: Hosts) -> None:
    theirs(hosts)
    assert standing(hosts) == UP
    planned = loaded.take_over("chat", "h1", "llama")
    assert "=  llama.service, made by hand: chat takes over" in planned.text()
    change = planned.plan.changes[-1]
    assert change.actions == ("adopt",)
    assert {c.id for c in planned.plan.changes if c.deployment == "chat"} <= set(change.depends_on)
    assert planned.apply().exit_code == 0
    assert standing(hosts) == "ActiveState=inactive UnitFileState=disabled"
    assert loaded.deployment("chat").status().state == "deployed"
    assert loaded.plan().plan.empty


def test_theirs_serves_on_when_ours_does_not_come_up(loaded: Fleet, hosts: Hosts) -> None:
    theirs(hosts)
    hosts["h1"].break_engine("chat-0", "RuntimeError: CUDA out of memory")
    assert loaded.take_over("chat", "h1", "llama").apply().exit_code == 5
    assert standing(hosts) == UP


def test_a_unit_that_was_stopped_is_started_again_on_undo(loaded: Fleet, hosts: Hosts) -> None:
    theirs(hosts)
    retire = step("finish", "unit.retire", unit="llama.service")
    fails = step("finish", "unit.start", unit="sshd.service")
    assert one(hosts["h1"], retire, fails).result == "rolled-back"
    assert standing(hosts) == UP
    assert one(hosts["h1"], retire).result == "done"
    assert standing(hosts) == "ActiveState=inactive UnitFileState=disabled"


@pytest.mark.parametrize("name", ["deployer-other-chat-0-aaaa.service", "multi-user.target", "../x.service"])
def test_only_services_of_others_are_ever_retired(hosts: Hosts, name: str) -> None:
    assert one(hosts["h1"], step("finish", "unit.retire", unit=name)).result != "done"
