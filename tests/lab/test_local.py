"""`connection: local` on a machine that runs systemd: a lab host that deploys to itself."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

import deployer
from deployer.errors import Unreachable
from deployer.spec.models import HostSpec
from deployer.transport import local
from tests.lab.conftest import LabFleet

SCRIPT = """
import json, sys
sys.path[:0] = ["/opt/local-test"]
from deployer.spec.models import HostSpec
from deployer.spec.secrets import Secret
from deployer.transport.local import LocalTransport
from tests.transport.echo_agent import EchoAgent
password = sys.stdin.readline().strip()
transport = LocalTransport(lambda _: Secret(password) if password else None, archive=EchoAgent())
connection = transport.connect(HostSpec(name="here", connection="local"), timeout_s=5)
lines = list(connection.open("whoami", {"a": "b c"}).lines())
connection.close()
print(json.dumps(lines))
"""


@pytest.fixture
def host(lab_fleet: LabFleet) -> str:
    """A host with our code in it. The Python of the host is the one the packages were built for, or close enough."""
    root = lab_fleet.hosts["lab-3"].root / "opt/local-test"
    shutil.rmtree(root, ignore_errors=True)
    packages = ["pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"]
    for name in packages:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin)
        copy_in(source.parent if source.name == "__init__.py" else source, root)
    copy_in(Path(deployer.__file__).parent, root)
    (root / "tests").mkdir()
    copy_in(Path(__file__).parents[1] / "transport", root / "tests")
    return "lab-3"


def copy_in(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, folder)


@pytest.mark.lab
@pytest.mark.parametrize("user", ["root", "deploy", "admin"])
def test_this_machine_as_a_host(lab_fleet: LabFleet, host: str, user: str) -> None:
    typed = lab_fleet.sudo_password if user == "admin" else ""
    done = lab_fleet.run(host, ["python3", "-c", SCRIPT], user=user, stdin=typed + "\n")
    said, end = json.loads(done.stdout)
    assert (said["uid"], said["request"], end) == (0, {"a": "b c"}, {"type": "end"})


def test_a_machine_without_systemd_is_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.os.path, "isdir", lambda _: False)
    with pytest.raises(Unreachable, match="does not run systemd") as e:
        local.LocalTransport(lambda _: None).connect(HostSpec(name="here", connection="local"), timeout_s=5)
    assert e.value.where == "here"
