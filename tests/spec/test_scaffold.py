"""`init` makes a fleet that is valid as it is, and never writes over what is there."""

import re

from deployer.spec.load import load_fleet
from deployer.spec.scaffold import init


def test_a_new_fleet_loads_as_it_is(tmp_path, settings):
    written = init(tmp_path / "fleet", id="12345678", name="acme", settings=settings)
    fleet = load_fleet(tmp_path / "fleet", settings).fleet
    assert (fleet.id, fleet.name) == ("12345678", "acme")
    assert "deployer.yaml" in written
    assert (tmp_path / "fleet" / "schemas" / "host.schema.json").is_file()
    assert ".deployer/" in (tmp_path / "fleet" / ".gitignore").read_text()


def test_what_is_there_stays(tmp_path):
    (tmp_path / "deployer.yaml").write_text("mine")
    assert init(tmp_path, id="12345678", name="acme") == ["hosts/README.txt", "deployments/README.txt", ".gitignore"]
    assert (tmp_path / "deployer.yaml").read_text() == "mine"
    assert init(tmp_path, id="12345678", name="acme") == []


def test_the_examples_in_the_hints_load_too(tmp_path, settings):
    init(tmp_path, id="12345678", name="acme")
    for folder, name in (("hosts", "gpu-01"), ("deployments", "chat")):
        hints = (tmp_path / folder / "README.txt").read_text()
        example = "\n".join(line[4:] for line in hints.splitlines() if re.match(r"#   ", line))
        assert example.startswith("# yaml-language-server: $schema=../schemas/")
        (tmp_path / folder / f"{name}.yaml").write_text(example)
    fleet = load_fleet(tmp_path, settings).fleet
    assert list(fleet.hosts) == ["gpu-01"]
    assert list(fleet.deployments) == ["chat"]
