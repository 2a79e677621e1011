"""Chat templates as models bring them."""

import pytest

from deployer.serve.chat import ChatTemplate
from deployer.serve.errors import ApiError, ConfigError

_HI = [{"role": "user", "content": "Hi"}]


def _render(source: str, **extra: object) -> str:
    return ChatTemplate(source, {"bos_token": "<s>"}).render(_HI, extra=extra)


def test_a_template_has_what_transformers_gives_it() -> None:
    source = "{{ bos_token }}{% for m in messages %}{{ m | tojson }}{% if loop.first %}{% break %}{% endif %}{% endfor %}"
    assert _render(source) == '<s>{"role": "user", "content": "Hi"}'
    assert _render("{{ {'b': '世', 'a': 1} | tojson(sort_keys=true, separators=(',', ':')) }}") == '{"a":1,"b":"世"}'
    assert len(_render("{{ strftime_now('%Y') }}")) == 4
    assert _render("{% if tools is none %}none{% endif %} {{ enable_thinking }}", enable_thinking=False) == "none False"
    assert _render("{% generation %}{{ messages[0].content }}{% endgeneration %}!") == "Hi!"


def test_blocks_leave_no_empty_lines() -> None:
    assert _render("{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}\n") == "Hi\n"


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('no wizards') }}",
        "{{ messages[5].content + 1 }}",
        "{{ 1 / 0 }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
    ],
)
def test_whatever_goes_wrong_inside_is_a_refusal(source: str) -> None:
    with pytest.raises(ApiError) as caught:
        _render(source)
    assert (caught.value.status, caught.value.param) == (400, "messages")


def test_a_template_that_cannot_be_read_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="chat template is not valid"):
        ChatTemplate("{% for %}", {})
