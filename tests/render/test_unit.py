"""A replica's unit: systemd takes it without a word, whatever the YAML holds; the text says whose it is."""

import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.render import names
from deployer.render.gateway import GatewayConfig, gateway_unit
from deployer.render.unit import UnitSpec, render_unit, unit_files

SPEC = UnitSpec(
    fleet="acme",
    fleet_id="7f3a9c21",
    deployment="chat",
    slot=0,
    runtime_digest="ab" * 32,
    argv=("/bin/true", "--config", "/run/credentials/x/args.yaml"),
    port=20000,
    ready_path="/health",
    start_timeout_s=2700.0,
    stop_timeout_s=60.0,
    stop_signal="SIGINT",
    env={"HOME": "/var/cache/deployer/acme/chat/0"},
    credentials=(("args.yaml", "/etc/deployer/acme/chat/0-abababab/args.yaml"),),
)


def verify(folder: Path, name: str, text: str) -> str:
    """systemd-analyze ends with 0 for most mistakes; whatever it prints is a failure."""
    path = folder / name
    path.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def lines(spec: UnitSpec) -> list[str]:
    return render_unit(spec).splitlines()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gpus": ("GPU-1", "GPU-2")},
        {"memory": 64 << 30, "cpu": 0.5},
        {"description": 'a "chat" 100% $HOME \\ \n[Service]\nExecStart=/bin/sh\n \\'},
        {"env": {"A": 'x y "q" %h $x \\ ü\n\t'}},
        {"argv": ("/bin/true", "", "a b", "%h", "$HOME", "${HOME}", ";", "\\", '"', "'", "\n", "ü", "-", "--", "\x7f")},
    ],
    ids=["plain", "gpus", "limits", "description", "environment", "arguments"],
)
def test_systemd_takes_the_unit_without_a_word(tmp_path: Path, changes: dict[str, object]) -> None:
    spec = SPEC._replace(**changes)  # type: ignore[arg-type]
    assert verify(tmp_path, spec.name, render_unit(spec)) == ""


def test_a_mistake_in_a_unit_is_noticed_by_this_check(tmp_path: Path) -> None:
    assert "RestartSex" in verify(tmp_path, SPEC.name, render_unit(SPEC).replace("RestartSec", "RestartSex"))


def test_systemd_takes_the_gateways_unit(tmp_path: Path) -> None:
    config = GatewayConfig("acme", "7f3a9c21", ("127.0.0.1:8443",))
    assert verify(tmp_path, names.gateway_unit_name("acme"), gateway_unit(config)) == ""


ODD = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)


@given(ODD, ODD, st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=5), st.text(max_size=20), max_size=2))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_odd_texts_never_become_settings(tmp_path: Path, description: str, word: str, env: dict[str, str]) -> None:
    env = {k: "".join(c for c in v if c.isprintable()) for k, v in env.items()}
    spec = SPEC._replace(description=description, argv=("/bin/true", word), env=env)
    plain = SPEC._replace(description="x", argv=("/bin/true", "x"), env=dict.fromkeys(env, "x"))
    settings_of = [line.partition("=")[0] for line in render_unit(spec).split("\n")]
    assert settings_of == [line.partition("=")[0] for line in render_unit(plain).split("\n")]
    assert verify(tmp_path, spec.name, render_unit(spec)) == ""


def test_the_first_lines_say_whose_it_is() -> None:
    head = lines(SPEC)[:10]
    assert any(line.startswith("#") and "7f3a9c21" in line for line in head)
    assert {"FleetId=7f3a9c21", "Deployment=chat", "Slot=0", f"RuntimeDigest={'ab' * 32}"} <= set(head)


def test_without_gpus_it_sees_no_device_and_claims_none() -> None:
    text = render_unit(SPEC)
    assert "PrivateDevices=yes" in text
    assert "ExecStartPre" not in text
    assert "nvidia" not in text


def test_with_gpus_it_claims_exactly_those_and_sees_only_nvidias_devices() -> None:
    text = render_unit(SPEC._replace(gpus=("GPU-1", "GPU-2")))
    claim = next(line for line in text.splitlines() if line.startswith("ExecStartPre=+"))
    assert claim.endswith(f"/run/deployer/gpus {SPEC.name} GPU-1 GPU-2")
    assert "DevicePolicy=closed" in text
    assert "PrivateDevices" not in text


def test_the_programs_it_runs_are_written_beside_its_other_files() -> None:
    for spec in (SPEC, SPEC._replace(gpus=("GPU-1",))):
        text = render_unit(spec)
        for path, content in unit_files(spec):
            name = path.rpartition("/")[2]
            assert path == f"/etc/deployer/acme/chat/0-abababab/{name}"
            assert content
            assert any(name in line for line in text.splitlines() if line.startswith("ExecStart"))
    assert len(unit_files(SPEC)) == 1


def test_limits_come_from_the_resources() -> None:
    spec = SPEC._replace(memory=64 << 30, cpu=2.5)
    assert {"MemoryMax=68719476736", "CPUQuota=250%"} <= set(lines(spec))
    assert "MemoryMax" not in render_unit(SPEC)


def test_it_comes_back_after_a_death_with_exit_code_0_but_not_for_ever() -> None:
    assert {"Restart=always", "StartLimitBurst=4", "KillMode=mixed", "KillSignal=SIGINT"} <= set(lines(SPEC))


def test_the_same_spec_gives_the_same_bytes() -> None:
    other = SPEC._replace(env=dict(reversed({"B": "2", "A": "1"}.items())))
    assert render_unit(other) == render_unit(SPEC._replace(env={"A": "1", "B": "2"}))
