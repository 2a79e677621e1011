"""The address of a deployment."""

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from deployer.execute.endpoint import endpoint
from deployer.plan.roster import Place, Roster
from deployer.spec.models import ApiKey, EndpointSpec, FleetSpec, GatewaySpec, HostSpec
from tests.plan.worlds import deployment

ROSTER = Roster(places=(Place("chat", 0, "h2", 20000),))
KEYS = EndpointSpec(keys=(ApiKey(name="a", sha256="0" * 64),))


def fleet(settings: EndpointSpec = KEYS, **gateway: Any) -> FleetSpec:
    hosts = {"h1": HostSpec(name="h1", address="192.0.2.1"), "h2": HostSpec(name="h2", address="2001:db8::2")}
    chat = deployment("chat", endpoint=settings)
    return FleetSpec(id="0123abcd", name="acme", gateway=GatewaySpec(**gateway), hosts=hosts, deployments={"chat": chat})


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        (fleet(insecure=True, hosts=("h1",)), "http://192.0.2.1:8443/chat/v1"),
        (fleet(insecure=True, port=80), "http://[2001:db8::2]:80/chat/v1"),
        (fleet(), "http://127.0.0.1:8443/chat/v1"),
        (fleet(EndpointSpec(), insecure=True), "http://127.0.0.1:8443/chat/v1"),
        (fleet(EndpointSpec(open=True), insecure=True, hosts=("h1",)), "http://192.0.2.1:8443/chat/v1"),
    ],
)
def test_the_url_follows_from_the_gateway_and_the_keys(spec: FleetSpec, url: str) -> None:
    found = endpoint(spec, ROSTER, "chat")
    assert found is not None
    assert found.url == url
    assert found.model == "chat"


def test_without_a_place_and_without_a_gateway_there_is_no_address_yet() -> None:
    assert endpoint(fleet(), Roster(), "chat") is None


def test_the_curl_line_is_one_that_a_shell_reads_as_it_is_meant() -> None:
    found = endpoint(fleet(insecure=True, hosts=("h1",)), ROSTER, "chat")
    assert found is not None
    words = shlex.split(found.curl)
    assert words[1] == "http://192.0.2.1:8443/chat/v1/chat/completions"
    assert "Authorization: Bearer YOUR_KEY" in words
    compile(found.python, "example", "exec")


@pytest.mark.parametrize(
    ("asked", "curl", "python"),
    [
        ("embeddings", '{"model": "chat", "input": "Hello"}', "client.embeddings.create("),
        ("audio/transcriptions", "-F model=chat -F file=@speech.wav", "client.audio.transcriptions.create("),
        ("translate", '{"model": "chat", "text": "Hello"}', "client.chat.completions.create("),
    ],
)
def test_the_samples_ask_what_the_kind_of_model_can_answer(asked: str, curl: str, python: str) -> None:
    found = endpoint(fleet(insecure=True, hosts=("h1",)), ROSTER, "chat")
    assert found is not None
    found = replace(found, asked=asked)
    assert f"/chat/v1/{asked}" in found.curl
    assert curl in found.curl
    assert python in found.python
    compile(found.python, "sample", "exec")


def test_a_route_of_ones_own_is_asked_what_it_is_asked_at_its_start() -> None:
    found = endpoint(fleet(insecure=True, hosts=("h1",)), ROSTER, "chat")
    assert found is not None
    found = replace(found, asked="predict", body={"inputs": ["where's my parcel"]})
    words = shlex.split(found.curl)
    assert words[1] == "http://192.0.2.1:8443/chat/v1/predict"
    assert json.loads(words[-1]) == {"model": "chat", "inputs": ["where's my parcel"]}
    assert """client.post("/predict", cast_to=httpx.Response, body={'model': 'chat', 'inputs': [""" in found.python
    compile(found.python, "sample", "exec")
