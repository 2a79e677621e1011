"""Whose word counts: the request's, then the deployment's, then the model's; and what may share a batch."""

import dataclasses

import pytest

from deployer.serve.errors import ApiError
from deployer.serve.sampling import Defaults, engine_options, group_key, model_defaults, parse_defaults, parse_request

_VOCABULARY = [f"t{number}" for number in range(1024)]


def test_the_request_wins_over_the_deployment_and_that_over_the_model() -> None:
    deployment = parse_defaults({"temperature": 0.5, "stop": ["x"], "max_tokens": 9})
    model = model_defaults({"temperature": 0.9, "top_p": 0.8, "top_k": 40, "max_new_tokens": 5, "eos_token_id": 0})
    params = parse_request({"temperature": 0.1, "stop": "y"}, deployment.over(model), 16)
    assert (params.temperature, params.top_p, params.top_k, params.max_tokens, params.stop) == (0.1, 0.8, 40, 9, ("y",))


def test_where_nobody_says_anything_it_is_what_openai_does() -> None:
    params = parse_request({}, Defaults(), 16)
    assert (params.temperature, params.top_p, params.top_k, params.repetition_penalty) == (1.0, 1.0, 0, 1.0)
    assert (params.max_tokens, params.stop, params.asked, params.greedy) == (16, (), False, False)


def test_a_zero_that_was_said_is_not_a_silence() -> None:
    assert parse_request({"temperature": 0, "top_k": -1}, Defaults(temperature=0.7, top_k=5), None).greedy
    assert parse_request({"top_k": 0}, Defaults(top_k=5), None).top_k == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1), ("temperature", "hot"), ("temperature", True), ("temperature", float("nan")), ("top_p", 0),
        ("top_p", 1.1),
        ("top_k", 1.5), ("top_k", -2), ("max_tokens", -1), ("logit_bias", []), ("max_tokens", "10"),
        ("max_completion_tokens", 1.0),
        ("min_tokens", -1),
        ("repetition_penalty", 0), ("ignore_eos", 1), ("stop", 5), ("stop", [""]), ("stop", ["x"] * 65),
        ("stop_token_ids", [-1]),
        ("stop_token_ids", "x"), ("include_stop_str_in_output", "yes"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ApiError) as caught:
        parse_request({field: value}, Defaults(), None)
    assert (caught.value.status, caught.value.param) == (400, field)


def test_more_least_than_most_tokens_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        parse_request({"min_tokens": 6, "max_tokens": 5}, Defaults(), None)
    assert caught.value.param == "min_tokens"


@pytest.mark.parametrize(("name", "value"), [("presence_penalty", 0.5), ("min_p", 0.1), ("temprature", 1.0), ("seed", -1)])
def test_a_default_this_engine_cannot_hold_is_refused_not_dropped(name: str, value: float) -> None:
    with pytest.raises(ApiError, match=name):
        parse_defaults({name: value})
    assert parse_defaults({"presence_penalty": 0, "min_p": 0.0, "temperature": None}) == Defaults()


def test_what_shares_a_batch() -> None:
    greedy = parse_request({"temperature": 0, "max_tokens": 5}, Defaults(), None)
    assert group_key(greedy, 10) == group_key(
        parse_request({"temperature": 0, "top_p": 0.5, "ignore_eos": True}, Defaults(), 3), 99
    )
    assert group_key(greedy, 10) != group_key(parse_request({"temperature": 0.5}, Defaults(), None), 10)
    assert group_key(greedy, 10) != group_key(dataclasses.replace(greedy, min_tokens=3), 10)
    punished = dataclasses.replace(greedy, repetition_penalty=1.2)
    assert group_key(punished, 10) != group_key(punished, 11)


def test_options_of_the_engine() -> None:
    greedy = parse_request({"temperature": 0, "min_tokens": 4}, Defaults(), None)
    options = engine_options(greedy, (0,), _VOCABULARY)
    assert options["sampling_topk"] == 1
    assert (options["min_length"], options["end_token"]) == (4, [0])
    assert engine_options(dataclasses.replace(greedy, ignore_eos=True), (0,), _VOCABULARY)["end_token"] == []
    free = engine_options(parse_request({"top_k": 5000, "top_p": 0.5, "temperature": 0.3}, Defaults(), None), (0,), _VOCABULARY)
    assert (free["sampling_topk"], free["sampling_topp"], free["sampling_temperature"]) == (1024, 0.5, 0.3)
    banned = parse_request({"logit_bias": {"7": -100, "5": -100, "9": 0}}, Defaults(), None)
    assert engine_options(banned, (0,), _VOCABULARY)["suppress_sequences"] == [["t5"], ["t7"]]
    assert group_key(banned, 1) != group_key(dataclasses.replace(banned, bans=()), 1)
