"""/v1/... routed by the model in the body, and /v1/models, asked of a real HAProxy."""

from typing import Any

import pytest

from deployer.render import names
from deployer.render.gateway import Server
from deployer.render.gateway.models import BODY_MOST
from tests.render.conftest import Gateway
from tests.render.test_gateway import BEARER, KEY, route

ODD = 'org/Model 7B "quoted" %[src] , {x}\\'


def listed(gateway: Gateway, **headers: str) -> list[str]:
    answer = gateway.get("/v1/models", **headers)
    assert answer.status == 200, answer.data
    assert answer.json["object"] == "list"
    return [model["id"] for model in answer.json["data"]]


def test_a_request_goes_to_the_deployment_whose_model_it_names(gateway: Gateway, engine: Server) -> None:
    chat = route(gateway, "chat", engine, keys={KEY: "a"}, model_names=("org/Llama", ODD), log=True)
    gateway.start(chat, route(gateway, "embed", engine, open=True))
    for model in ("chat", "org/Llama", ODD):
        body = {"messages": ["x" * 20_000], "model": model}
        answer = gateway.request("POST", "/v1/completions?a=1", body, **BEARER)
        assert answer.status == 200, (model, answer.data)
        assert (answer.json["path"], answer.json["body"]) == ("/v1/completions?a=1", body)
    assert gateway.logged("/v1/completions")["deployment"] == "be_chat"
    assert gateway.request("POST", "/v1/completions", {"model": "chat"}).code == "invalid_api_key"
    assert gateway.request("POST", "/v1/completions", {"model": "embed"}).status == 200
    assert gateway.request("POST", "/v1/metrics", {"model": "embed"}).code == "path_not_found"


@pytest.mark.parametrize("body", [{"model": "nobody"}, {"model": 7}, {"model": ""}, {}, [], "chat", {"a": {"model": "chat"}}])
def test_a_request_that_names_no_model_of_ours_is_404(gateway: Gateway, engine: Server, body: Any) -> None:
    gateway.start(route(gateway, "chat", engine, open=True))
    answer = gateway.request("POST", "/v1/completions", body)
    assert (answer.status, answer.code) == (404, "model_not_found")


def test_a_body_beyond_the_buffer_is_refused_with_the_address_that_takes_it(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, open=True))

    def body(size: int) -> dict[str, str]:
        return {"prompt": "x" * (size - 40), "model": "chat"}

    assert gateway.request("POST", "/v1/completions", body(BODY_MOST - 100)).status == 200
    answer = gateway.request("POST", "/v1/completions", body(BODY_MOST + 100))
    assert (answer.status, answer.code) == (413, "request_too_large")
    assert "/DEPLOYMENT/v1/completions" in answer.json["error"]["message"]
    assert gateway.request("POST", "/chat/v1/completions", body(1_000_000)).status == 200


def test_models_are_listed_to_whom_they_are_open(gateway: Gateway, engine: Server) -> None:
    gateway.start(
        route(gateway, "chat", engine, keys={KEY: "a"}, model_names=(ODD,)),
        route(gateway, "other", engine, keys={"another": "b"}),
        route(gateway, "free", engine, open=True),
        route(gateway, "sleeps", engine, open=True, stopped=True),
    )
    assert listed(gateway, **BEARER) == ["chat", ODD, "free"]
    assert listed(gateway, Authorization="Bearer another") == ["free", "other"]
    assert listed(gateway) == ["free"]
    assert gateway.request("POST", "/v1/completions", {"model": "sleeps"}).code == "deployment_stopped"


def test_who_may_ask_nothing_hears_that_a_key_is_missing(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a"}))
    assert gateway.get("/v1/models").code == "invalid_api_key"
    assert gateway.get("/v1/models", Authorization="Bearer no").status == 401
    assert gateway.get("/v1/models/chat", **BEARER).status == 404


def test_a_gateway_without_deployments_has_no_models(gateway: Gateway) -> None:
    gateway.start()
    assert gateway.get("/v1/models").status == 401


def test_a_fragment_never_has_the_name_of_a_deployments_other_files() -> None:
    assert names.fragment_path("acme", "chat", "names").rpartition("/")[0] == names.gateway_directory("acme") + "/parts"
