"""Files of policies/: what is read, and what is refused where it stands. A rule that would ask nothing is never taken."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.errors import SpecError
from tests.spec.fleets import DEPLOYMENT, FLEET

RULE = "name: r\nmessage: m\nrequire:\n"


def told(load, text):
    with pytest.raises(SpecError) as found:
        load({"deployer.yaml": FLEET, "deployments/chat.yaml": DEPLOYMENT, "policies/r.yaml": text})
    return [f"{p.line}:{p.column} {p.message} [{p.hint}]" for p in found.value.problems]


def test_a_policy_is_read_with_its_places(load):
    rule = RULE + "  replicas: {minimum: 2}\nexempt: {chat: one is enough}\n"
    loaded = load({"deployer.yaml": FLEET, "deployments/chat.yaml": DEPLOYMENT, "policies/r.yaml": rule})
    policy = loaded.fleet.policies["r"]
    assert (policy.level, policy.require, policy.exempt) == ("deny", {"replicas": {"minimum": 2}}, {"chat": "one is enough"})
    assert str(loaded.positions.of("policy:r", "require", "replicas")) == "policies/r.yaml:4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: r\nmessage: m\n", "1:1 a policy needs require [None]"),
        ("name: r\nmessage: m\nrequire: {}\n", "3:10 require must ask something, such as"),
        ("- 1\n", "1:1 a policy is a mapping"),
        (RULE + "  replica: {minimum: 2}\n", "4:3 a deployment has no 'replica' [did you mean replicas?]"),
        (RULE + "  logging.request: {const: x}\n", "4:3 logging has no 'request' [did you mean requests?]"),
        (RULE + "  locked.licence: {const: x}\n", "4:3 there is no fact 'locked.licence' [did you mean license?]"),
        (RULE + "  placed: {const: x}\n", "4:3 there is no fact 'placed'"),
        (RULE + "  replicas: {minimun: 2}\n", "4:14 there is no keyword 'minimun' [did you mean minimum?]"),
        (RULE + "  tags: {contains: {constt: x}}\n", "4:21 there is no keyword 'constt' [did you mean const?]"),
        (
            RULE + "  tags: {anyOf: [{maxItems: 1}, {maxitem: 2}]}\n",
            "4:34 there is no keyword 'maxitem' [did you mean maxItems?]",
        ),
        (RULE + "  replicas: {$ref: 'http://example.org/x'}\n", "4:14 there is no keyword '$ref'"),
        (RULE + "  replicas: {}\n", "4:3 asks nothing"),
        (RULE + "  replicas: {not: {}}\n", "4:14 asks nothing"),
        (RULE + "  replicas: {const: null}\n", "4:14 const has no value"),
        (RULE + "  replicas: {minimum: two}\n", "4:14 this is not what 'minimum' takes"),
        (RULE + "  model.repo: {pattern: '('}\n", "4:16 this is not a regular expression"),
        (RULE + "  replicas: 2\n", "4:13 require.replicas must be a mapping, not 2"),
        (RULE + "  replicas: {minimum: 2}\nexempt: {chatt: x}\n", "5:10 there is no deployment 'chatt' [did you mean chat?]"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(load, text, message):
    assert any(line.startswith(message) for line in told(load, text)), told(load, text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["x", "object", "(", "", "replicas"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "enum", "minimum", "properties", "contains", "not", "pattern", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def outcome(load, files):
    try:
        return load(files)
    except SpecError as error:
        return error


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": VALUES,
            "message": VALUES,
            "level": VALUES,
            "match": st.dictionaries(
                st.sampled_from(["replicas", "model.repo", "locked.license", ".", "a.b"]), VALUES, max_size=2
            ),
            "require": st.dictionaries(st.sampled_from(["replicas", "tags", "placed.hosts", "x"]), VALUES, max_size=2) | VALUES,
            "exempt": VALUES,
        },
    )
)
def test_any_policy_file_is_read_or_refused_with_places(load, data):
    import yaml

    files = {"deployer.yaml": FLEET, "deployments/chat.yaml": DEPLOYMENT, "policies/r.yaml": yaml.safe_dump(data)}
    found = outcome(load, files)
    if isinstance(found, SpecError):
        assert all(p.file == "policies/r.yaml" and p.message for p in found.problems)
    else:
        (policy,) = found.fleet.policies.values()
        assert all(policy.require.values())
