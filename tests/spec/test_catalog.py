"""Files of catalog/ and `model: {catalog: NAME}`: what is read, where it says it is from, and what is refused where it stands."""

import pytest

from deployer.errors import SpecError
from deployer.spec.catalog import number
from tests.spec.fleets import DEPLOYMENT

ENTRY = "name: ours-7b\nabout: trained by us\nkind: chat\nrepo: acme/ours-7b\nengines: {vllm: {dtype: bfloat16}}\n"
BY_NAME = "name: chat\nmodel: {catalog: NAME}\nengine: {vllm: {}}\n"


def named(name: str) -> str:
    return BY_NAME.replace("NAME", name)


def test_a_deployment_takes_the_repository_of_the_fleets_own_entry_and_nothing_else(load):
    loaded = load({"catalog/a.yaml": ENTRY, "deployments/chat.yaml": named("ours-7b")})
    spec = loaded.fleet.deployments["chat"]
    assert (spec.model.repo, spec.model.catalog, spec.engine.settings.dtype) == ("acme/ours-7b", "ours-7b", "auto")
    assert str(loaded.positions.of("deployment:chat", "model", "repo")) == "catalog/a.yaml:4"
    assert str(loaded.positions.of("deployment:chat", "model", "catalog")) == "deployments/chat.yaml:2"
    assert loaded.fleet.catalog["ours-7b"].engines == {"vllm": {"dtype": "bfloat16"}}
    assert str(loaded.positions.of("catalog:ours-7b", "kind")) == "catalog/a.yaml:3"


def test_an_entry_of_deployer_is_found_and_an_entry_of_the_fleet_goes_before_it(load):
    ours = load({"deployments/chat.yaml": named("gpt-oss-20b")})
    assert ours.fleet.deployments["chat"].model.repo == "openai/gpt-oss-20b"
    place = ours.positions.value_of("deployment:chat", "model", "repo")
    assert place.file == "deployer/catalog/gpt-oss-20b.yaml"
    assert "openai/gpt-oss-20b" in ours.positions.texts[place.file].splitlines()[place.line - 1]
    own = ENTRY.replace("ours-7b\nabout", "gpt-oss-20b\nabout")
    assert load({"catalog/a.yaml": own, "deployments/chat.yaml": named("gpt-oss-20b")}).fleet.deployments["chat"].model.repo == (
        "acme/ours-7b"
    )


def test_what_it_extends_may_name_the_entry(load):
    base = {"defaults/base.yaml": "model: {catalog: gpt-oss-20b}\n"}
    loaded = load({**base, "deployments/chat.yaml": "extends: ../defaults/base.yaml\nname: chat\nengine: {vllm: {}}\n"})
    assert loaded.fleet.deployments["chat"].model.repo == "openai/gpt-oss-20b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY + "colour: red\n", "6:1 an entry of the catalogue has no 'colour' [None]"),
        (ENTRY.replace("chat", "chatt"), "3:7 kind must be "),
        (ENTRY.replace("vllm", "vlm"), "5:11 there is no engine 'vlm' [did you mean vllm?]"),
        (ENTRY.replace("bfloat16", "bfloat"), "5:25 engines.vllm.dtype must be "),
        (ENTRY.replace("dtype", "dtpye"), "5:18 engines.vllm has no 'dtpye' [did you mean dtype?]"),
        (ENTRY + "parameters: 8\n", "6:13 parameters must be a number of parameters such as 8.2B or 335M, not 8"),
        (ENTRY + "sources:\n  - {url: https://x.org, says: [taste]}\n", "7:33 sources[0].says[0] must be "),
        (ENTRY.replace("engines: {vllm: {dtype: bfloat16}}", "engines: {}"), "5:10 engines"),
        ("- 1\n", "1:1 an entry of the catalogue is a mapping"),
    ],
)
def test_what_is_wrong_in_an_entry_is_said_where_it_stands(wrong, text, said):
    found = wrong({"deployments/chat.yaml": DEPLOYMENT, "catalog/a.yaml": text})
    lines = [f"{p.line}:{p.column} {p.message} [{p.hint}]" for p in found]
    assert {p.file for p in found} == {"catalog/a.yaml"}
    assert any(line.startswith(said) for line in lines), lines


def test_two_entries_of_one_name(wrong):
    [problem] = wrong({"deployments/chat.yaml": DEPLOYMENT, "catalog/a.yaml": ENTRY, "catalog/b.yaml": ENTRY})
    assert (problem.file, problem.message) == ("catalog/b.yaml", "two entries of the catalogue are named 'ours-7b'")


@pytest.mark.parametrize("name", ["gpt-oss-20", "../hosts/h1", "x" * 61, "x" * 300, "a/b"])
def test_a_name_that_the_catalogue_does_not_have(load, name):
    with pytest.raises(SpecError) as caught:
        load({"deployments/chat.yaml": named(name)})
    said = [p for p in caught.value.problems if p.message.startswith("the catalogue has no")]
    assert [(p.file, p.line) for p in said] == [("deployments/chat.yaml", 2)]
    assert said[0].hint == ("did you mean gpt-oss-20b?" if name == "gpt-oss-20" else "deployer models lists them")


def test_a_number_of_parameters():
    assert (number("8.2B"), number("335M"), number("1T"), number("0.6B")) == (8_200_000_000, 335_000_000, 10**12, 600_000_000)
