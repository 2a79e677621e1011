"""The committed schemas are those of the models, in two dialects."""

from pathlib import Path

import jsonschema
import pytest

from deployer.engines import settings_models
from deployer.spec.schema import drift, schemas, write

COMMITTED = Path(__file__).parents[2] / "schemas"


def test_the_committed_schemas_are_what_the_models_say():
    assert drift(COMMITTED, settings_models()) == [], "`deployer schema` writes them again"
    written_by_hand = {"request-log.schema.json"}
    assert {path.name for path in COMMITTED.iterdir()} == set(schemas(settings_models())) | written_by_hand


@pytest.mark.parametrize(
    ("form", "validator"), [("", jsonschema.Draft202012Validator), (".draft-07", jsonschema.Draft7Validator)]
)
@pytest.mark.parametrize("kind", ["deployment", "host", "policy", "catalog", "deployer"])
def test_each_schema_is_right_in_its_dialect(kind, form, validator, settings):
    schema = schemas(settings)[f"{kind}{form}.schema.json"]
    assert jsonschema.validators.validator_for(schema) is validator
    validator.check_schema(schema)
    assert ("$defs" in schema) == (form == "")


def test_writing_names_what_changed_and_a_second_time_nothing(tmp_path, settings):
    assert len(write(tmp_path, settings)) == 10
    assert write(tmp_path, settings) == []
    (tmp_path / "host.schema.json").write_text("{}")
    assert drift(tmp_path, settings) == ["host.schema.json"]


def test_an_engine_is_one_line_in_the_choice(settings):
    defs = schemas(settings)["deployment.schema.json"]["$defs"]
    choice = defs["DeploymentSpec"]["properties"]["engine"]
    assert list(choice["properties"]) == ["ctranslate2", "vllm"]
    assert defs["VllmSettings"]["properties"]["dtype"]["anyOf"][0]["enum"] == ["auto", "float16", "bfloat16"]


def test_what_is_not_supported_yet_has_its_place_and_no_right_value(settings):
    defs = schemas(settings)["deployment.schema.json"]["$defs"]
    assert defs["DeploymentSpec"]["properties"]["env"]["anyOf"][0]["not"] == {}
