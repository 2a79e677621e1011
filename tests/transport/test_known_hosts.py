"""Which keys of known_hosts count, and the fingerprint people compare."""

import subprocess
from pathlib import Path

import pytest

from deployer.errors import HostKeyError
from deployer.transport.ssh import keys

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIItgVP4OwdyKTnERNzJN0MrnWKP1kIWdciGsuJM5RE4+"
LINE = f"ssh-ed25519 {KEY}"


def known(tmp_path: Path, text: str, name: str) -> list[str]:
    file = tmp_path / "known_hosts"
    file.write_text(text)
    found = keys.KnownHosts().keys([name], {"userknownhostsfile": str(file), "globalknownhostsfile": "/nowhere"})
    return [key.get_base64() for key in found.values()]


def test_plain_and_port_names_are_found(tmp_path: Path) -> None:
    text = f"gpu-1,10.0.0.1 {LINE}\n[gpu-2]:2222 {LINE} comment\n"
    assert known(tmp_path, text, "10.0.0.1") == [KEY]
    assert known(tmp_path, text, "[gpu-2]:2222") == [KEY]
    assert known(tmp_path, text, "gpu-2") == []


def test_hashed_names_are_found(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"gpu-1 {LINE}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    text = file.read_text()
    assert "gpu-1" not in text
    assert known(tmp_path, text, "gpu-1") == [KEY]


def test_markers_and_broken_lines_trust_nothing_and_hide_nothing(tmp_path: Path) -> None:
    text = f"# old\n@revoked gpu-1 {LINE}\ngpu-1 ssh-ed25519 not-base64!\ngpu-1\n\ngpu-3 {LINE}\n"
    assert known(tmp_path, text, "gpu-1") == []
    assert known(tmp_path, text, "gpu-3") == [KEY]


def test_the_fingerprint_is_the_one_ssh_keygen_prints(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(LINE + "\n")
    said = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "key.pub")], check=True, capture_output=True, text=True).stdout
    assert keys.HostKey("ssh-ed25519", KEY).fingerprint == said.split()[1]


@pytest.mark.parametrize("line", ["nonsense", "ssh-ed25519 AAAA", "ssh-ed25519 %%%", "ssh-dss " + KEY])
def test_a_pinned_key_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(HostKeyError, match="no SSH key") as e:
        keys.parse(line, where="gpu-1")
    assert e.value.where == "gpu-1"
