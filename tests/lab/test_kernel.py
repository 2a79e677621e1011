"""What a lab changes on this machine's kernel, and that the last lab puts it back."""

from pathlib import Path

import pytest

from deployer.lab import kernel, places


def lab(number: int) -> places.LabRecord:
    record = places.LabRecord(f"lab-{number}", f"/fleet-{number}", number, "image", "password")
    record.save()
    return record


def test_the_last_lab_puts_back_what_the_first_one_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(kernel, "SETTINGS", tmp_path / "sys")
    found = {"net/ipv4/ip_forward": "0\n", "fs/inotify/max_user_instances": "128\n", "fs/inotify/max_user_watches": "900000\n"}
    for name, value in found.items():
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).write_text(value)

    def now() -> list[int]:
        return [int((tmp_path / "sys" / name).read_text()) for name in found]

    first, second = lab(1), lab(2)
    kernel.prepare()
    kernel.prepare()
    assert now() == [1, 16384, 900000]  # what is higher already stays
    kernel.restore(first)
    assert now() == [1, 16384, 900000]
    (first.home / "lab.json").unlink()
    kernel.restore(second)
    assert now() == [0, 128, 900000]
    (tmp_path / "sys/net/ipv4/ip_forward").write_text("7")
    kernel.restore(second)
    assert now()[0] == 7  # nothing of ours is left to put back
