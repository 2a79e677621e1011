"""A deployment with where each of its values comes from; the way to an editor, to a file and to a host."""

from pathlib import Path

import pytest

from deployer.app import checking, editor
from deployer.app.dossier import tunnel
from deployer.app.effective import Setting, effective
from deployer.app.keeping import keep
from deployer.errors import UsageError
from deployer.execute.endpoint import Endpoint
from deployer.spec.models import FleetSpec, HostSpec


def settings(root: Path, deployment: str, fleet: str = "") -> dict[str, Setting]:
    (root / "deployments/chat.yaml").write_text(deployment)
    path = root / "deployer.yaml"
    path.write_text(path.read_text() + fleet)
    return {one.text.strip(): one for one in effective(checking.load(root), "chat")}


def test_the_nearest_place_wins_and_each_value_names_its_own(fleet: Path) -> None:
    (fleet / "base.yaml").write_text("tags: [base]\nsampling: {temperature: 0.5, top_p: 0.9}\n")
    written = "name: chat\nextends: ../base.yaml\nmodel: {path: models/tiny}\nengine: {ctranslate2: {}}\nsampling: {top_p: 0.8}\n"
    found = settings(fleet, written, "defaults:\n  rollout: {min_healthy: 7s}\n  sampling: {seed: 7}\n")
    told = {text: (one.origin, str(one.source)) for text, one in found.items()}
    assert told["top_p: 0.8"] == ("file", "deployments/chat.yaml:5")
    assert told["temperature: 0.5"] == ("extends", "base.yaml:2")
    assert told["- base"] == ("extends", "base.yaml:1")
    assert told["seed: 7"] == ("defaults", "deployer.yaml:6")
    assert told["min_healthy: 7s"] == ("defaults", "deployer.yaml:5")
    assert told["healthy_deadline: 300s"][0] == "default"
    assert told["timeout: 60s"][0] == "default"


def test_a_secret_is_its_reference_and_an_odd_text_stays_on_its_line(fleet: Path) -> None:
    written = (
        'name: chat\ndescription: "[/INST] two\\nlines"\nmodel: {path: models/tiny, token: {env: HF_TOKEN}}\n'
        "engine: {ctranslate2: {}}\nendpoint:\n  keys:\n    - {name: team, secret: {env: TEAM_KEY}}\n"
    )
    found = settings(fleet, written)
    assert found["env: HF_TOKEN"].depth == 2
    assert str(found["env: TEAM_KEY"].source) == "deployments/chat.yaml:7"
    assert r'description: "[/INST] two\nlines"' in found


def test_a_deployment_of_no_file_has_no_yaml(fleet: Path) -> None:
    with pytest.raises(UsageError, match="no file has a deployment other"):
        effective(checking.load(fleet), "other")


@pytest.mark.parametrize(
    ("chosen", "argv"),
    [
        ("sh -x", ["sh", "-x", "+7", "/f/a.yaml"]),
        ("hx", ["hx", "/f/a.yaml:7"]),
        ("code -n", ["code", "-n", "--wait", "--goto", "/f/a.yaml:7"]),
    ],
)
def test_an_editor_is_told_the_line_in_its_own_way(
    chosen: str, argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("hx", "code", "sh"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert editor.command(Path("/f/a.yaml"), 7, {"EDITOR": chosen}) == argv


def test_an_editor_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere-editor is not on this machine"):
        editor.command(Path("a"), 1, {"VISUAL": "nowhere-editor"})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no editor was found"):
        editor.command(Path("a"), 1, {})


def test_a_log_is_kept_in_a_new_file_and_never_over_another(tmp_path: Path) -> None:
    kept = keep(tmp_path / "chat.log", "one\n")
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("one\n", 0o600)
    with pytest.raises(UsageError, match="there is such a file already"):
        keep(kept, "two\n")
    assert kept.read_text() == "one\n"
    with pytest.raises(UsageError, match="it cannot be written"):
        keep(tmp_path / "none" / "chat.log", "two\n")


def test_the_tunnel_goes_the_way_of_the_hosts_file_and_an_open_endpoint_needs_none(tmp_path: Path) -> None:
    way = {"user": "ann", "port": 2222, "jump": "door", "identity_file": "keys/id"}
    door = HostSpec(name="door", address="198.51.100.1", user="bob", port=22)
    host = HostSpec(name="h1", address="192.0.2.1", **way)  # type: ignore[arg-type]
    fleet = FleetSpec(id="0123abcd", name="acme", hosts={"h1": host, "door": door})
    private = Endpoint("chat", "http://127.0.0.1:8443/chat/v1", "chat", "h1", loopback=True, keys=False)
    expected = f"ssh -N -L 8443:127.0.0.1:8443 -p 2222 -J bob@198.51.100.1:22 -i {tmp_path}/keys/id ann@192.0.2.1"
    assert tunnel(fleet, tmp_path, private) == expected
    public = Endpoint("chat", "http://192.0.2.1:8443/chat/v1", "chat", "h1", loopback=False, keys=False)
    assert tunnel(fleet, tmp_path, public) is None
