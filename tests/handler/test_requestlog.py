"""The request log: what a record says, what is taken out of it, where it goes, and that no request waits for it."""

import array
import json
import os
import re
import socket
import stat
import struct
import threading
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.handler import requestlog, sinks
from deployer.handler.counters import Counters
from deployer.handler.record import Entry, Writer
from deployer.handler.redact import MARK, Redactor, RuleError
from deployer.handler.requestlog import LogConfig, RequestLog
from deployer.handler.sinks import FileSink, JournalSink, KafkaSink
from tests.handler.process import Handler, content, events

POISON = "4111-1111-1111-1111"
CARD = r"\b\d{4}(?:-\d{4}){3}\b"
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "request-log.schema.json").read_text())

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "key", "x y"]), inner, max_size=3),
    max_leaves=8,
)


def places(value, path="$"):
    """(path, value) of everything below."""
    yield path, value
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        name = f"[{key}]" if isinstance(key, int) else f".{key}" if key.isidentifier() else f"['{key}']"
        yield from places(one, path + name)


@settings(max_examples=60)
@given(_json, st.data())
def test_a_path_takes_out_what_it_leads_to_and_nothing_else(value, data):
    below = [path for path, _ in places(value) if path != "$"]
    if not below:
        return
    chosen = data.draw(st.sampled_from(below))
    after = dict(places(Redactor([chosen]).body(value)))
    assert after[chosen] == MARK
    kept = {p: v for p, v in places(value) if not p.startswith(chosen) and not chosen.startswith(p)}
    assert {p: after[p] for p in kept} == kept


@settings(max_examples=60)
@given(_json, st.sampled_from(["a", "b", "key"]))
def test_a_deep_path_leaves_no_such_key_anywhere(value, name):
    found = Redactor([f"$..{name}"]).body(value)
    assert all(one == MARK for path, one in places(found) if path.endswith(f".{name}"))


def _buried(value, way):
    for deep in way:
        value = {value if isinstance(value, str) else "k": value} if deep else [value, 1]
    return value


_poisoned = st.builds(
    lambda before, after, way: _buried(f"{before} {POISON} {after}", way),
    st.text(max_size=5),
    st.text(max_size=5),
    st.lists(st.booleans()),
)


@settings(max_examples=60)
@given(_poisoned)
def test_no_text_key_or_depth_hides_what_an_expression_matches(value):
    assert POISON in json.dumps(value, ensure_ascii=False)
    assert POISON not in json.dumps(Redactor([CARD]).texts(value), ensure_ascii=False)


def test_numbers_are_looked_at_and_wrong_rules_refused():
    assert Redactor([r"^\d{16}$"]).texts({"card": 4111111111111111, "n": 3, "yes": True}) == {"card": MARK, "n": 3, "yes": True}
    for rule in ("(", "a*", "$", "$.a b", "$messages", "$.a[x]"):
        with pytest.raises(RuleError):
            Redactor([rule])


def entry(request=b"", chunks=(), kind="application/json", **more):
    asked = [more.pop("id", "r1"), more.pop("method", "POST"), more.pop("path", "/v1/chat/completions")]
    made = Entry(*asked, more.pop("full", True), more.pop("limit", 1000), more.pop("key", None))
    made.request, made.request_bytes, made.kind = request, len(request), kind
    for chunk in chunks:
        made.sent(chunk)
    made.status, made.ended = 200, made.began + 0.5
    return made


def record(made, *rules):
    about = {"deployment": "chat", "revision": "7", "replica": "chat/0"}
    found = Writer(about, Redactor(rules), ("chat", "/v1/chat/completions")).record(made)
    jsonschema.validate(found, SCHEMA)
    return found


ANSWER = {"model": "m", "choices": [{"message": {"content": POISON}}], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}


def test_a_record_without_bodies_holds_no_text_of_a_person():
    made = record(entry(json.dumps({"model": "m", "prompt": POISON}).encode(), [json.dumps(ANSWER).encode()], full=False))
    assert POISON not in json.dumps(made)
    assert (made["model"], made["prompt_tokens"], made["completion_tokens"], made["latency_ms"]) == ("m", 3, 4, 500.0)
    assert "request" not in made


def test_bodies_are_redacted_or_left_out_never_cut():
    body = json.dumps({"messages": [{"content": POISON}], "user": "ada"}).encode()
    made = record(entry(body, [json.dumps(ANSWER).encode()]), "$.messages[*].content", "$.choices[*].message.content")
    assert POISON not in json.dumps(made)
    assert made["request"]["user"] == "ada"
    assert record(entry(b"no json " + POISON.encode()), "$.x")["request"] == {"left_out": "not JSON", "bytes": 27}
    assert record(entry(b"no json " + POISON.encode()), CARD)["request"] == f"no json {MARK}"
    assert record(entry(body, limit=20), CARD)["request"] == {"left_out": "too large", "bytes": len(body)}
    long = record(entry(body, [b'{"a": "', POISON.encode() * 100, b'"}']), CARD)
    assert long["response"]["left_out"] == "too large"


THEIRS = {"id", "model", "route", "method", "request", "response"}
#: Each hits something of our own: ids, times, numbers, names, and the names of fields.
WIDE = [r"\d+", r"[0-9a-f]{4,}", "-", r"\d{4}-\d", "chat", "team", "id|key|schema", "POST", "v1", "[a-z]+", r"\w+", "."]


@settings(max_examples=100)
@given(st.lists(st.sampled_from(WIDE), min_size=1, max_size=4, unique=True), st.uuids(version=4), st.booleans())
def test_no_rule_however_wide_touches_what_is_our_own(rules, own, dashes):
    asked, answer = {"model": "chat", "prompt": f"a card {POISON}"}, json.dumps(ANSWER).encode()
    made = entry(json.dumps(asked).encode(), [answer], id=str(own) if dashes else own.hex, key="team-2024")
    bare, after = record(made), record(made, *rules)
    assert after["id"] == made.id
    assert {name: after[name] for name in after if name not in THEIRS} == {n: bare[n] for n in bare if n not in THEIRS}
    assert (after["model"], after["route"], after["method"]) == ("chat", "/v1/chat/completions", "POST")
    large = record(entry(b'{"a": 1}', limit=3), *rules)
    assert large["request"] == {"left_out": "too large", "bytes": 8}


_texts = st.text(st.characters(exclude_categories=["Cs", "Nd"]), max_size=8)


@st.composite
def _requests(draw):
    """A request and its answer with the poison in some places, or in all of them."""

    def said(otherwise):
        bad = draw(st.booleans())
        return f"{draw(_texts)} {POISON} {draw(_texts)}" if bad else otherwise

    asked = {"model": said("chat"), "user": said("ada"), said("key"): draw(_poisoned), "messages": [{"content": said("hello")}]}
    answer = {"model": said("m"), "error": {"message": said("no")}, "choices": [{"text": said("yes")}], "usage": draw(_usages)}
    body = said("no json").encode() if draw(st.booleans()) else json.dumps(asked).encode()
    more = {"id": said("r1"), "method": said("POST"), "path": said("/v1/chat/completions"), "full": draw(st.booleans())}
    return entry(body, [json.dumps(answer).encode()], limit=100_000, **more)


_usages = st.fixed_dictionaries(
    {
        "prompt_tokens": st.sampled_from([3, POISON, 4111111111111111, -4111111111111111, True, None]),
        "completion_tokens": st.just(4),
    }
)


@settings(max_examples=150)
@given(_requests())
def test_no_place_of_a_record_keeps_what_a_client_or_a_model_said_against_a_rule(made):
    written = json.dumps(record(made, CARD, r"^-?\d{16}$"), ensure_ascii=False)
    assert POISON not in written
    assert "4111111111111111" not in written


def test_a_name_that_the_gateway_did_not_give_is_a_text_and_one_that_no_rule_hits_stays():
    for said in ("r1", POISON, "41111111-1111-1111-1111-111111111111", "0" * 32):
        made = entry(b"{}", id=said)
        assert record(made)["id"] == said
        assert record(made, r"\d+", "r")["id"].count(MARK) > 0
    assert record(entry(b'{"model": "chat-2"}'), r"\d")["model"] == f"chat-{MARK}", "no name of the deployment"
    assert record(entry(b"{}", path="/v1/other"), r"\d")["route"] == f"/v{MARK}/other", "no path that it serves"


def test_a_stream_is_one_answer_in_a_record_so_that_no_border_hides_a_match():
    pieces = [f'data: {{"choices": [{{"index": 0, "delta": {{"content": "{c}"}}}}]}}\n\n'.encode() for c in POISON]
    made = record(entry(b"{}", [*pieces, b"data: [DONE]\n\n"], "text/event-stream", limit=100_000), CARD)
    assert made["response"]["choices"][0]["message"]["content"] == MARK
    assert made["stream"] is True


def test_a_poison_goes_through_a_real_process_and_not_into_its_log(tmp_path):
    rules = [CARD, "$.user", "chat", "[a-f]"]
    log = {"requests": "full", "sink": "file", "redact": rules, "file": {"path": str(tmp_path / "log.jsonl")}}
    handler = Handler(tmp_path, log=log, model_names=["chat"], paths=["/v1/chat/completions"]).wait_ready()
    text = f"my card is {POISON} really"
    assert handler.chat(text, user="secret-user")[1]["choices"][0]["message"]["content"] == text
    assert content(events(handler.chat(text, stream=True, user="secret-user")[1])) == text
    handler.ask("POST", f"/echo?{POISON}", POISON.encode(), {"X-Request-Id": POISON})
    handler.ask("GET", f"/{POISON}", headers={"X-Deployer-Key": "team-a"})
    assert handler.end() == 0
    written = (tmp_path / "log.jsonl").read_text()
    records = [json.loads(line) for line in written.splitlines()]
    assert len(records) == 4
    for one in records:
        jsonschema.validate(one, SCHEMA)
    assert POISON not in written + "".join(handler.lines)
    assert "secret-user" not in written
    assert [r["stream"] for r in records] == [False, True, False, False]
    assert [r["key"] for r in records] == [None, None, None, "team-a"]
    assert records[1]["completion_tokens"] == 5
    assert records[1]["first_ms"] <= records[1]["latency_ms"]
    assert {(one["model"], one["route"], len(one["id"])) for one in records[:2]} == {("chat", "/v1/chat/completions", 32)}


class Stuck:
    def __init__(self):
        self.go, self.lines = threading.Event(), []

    def write(self, line, record):
        assert self.go.wait(20)
        self.lines.append(line)

    def close(self, wait_s):
        pass


def test_a_sink_that_stands_still_drops_and_counts_and_holds_up_nobody(monkeypatch):
    monkeypatch.setattr(requestlog, "MOST_RECORDS", 5)
    sink, counters = Stuck(), Counters()
    log = RequestLog(LogConfig(), Writer({"deployment": "c", "revision": "1", "replica": "c/0"}, Redactor([])), sink, counters)
    for _ in range(20):
        log.close_entry(log.open("GET", "/", None), 200)
    assert counters.dropped == {"queue": 15}
    sink.go.set()
    log.close()
    assert len(sink.lines) == counters.logged == 5
    assert 'deployer_handler_log_dropped_total{reason="queue"} 15' in counters.text()


def test_a_sample_is_about_its_share():
    log = RequestLog(LogConfig(sample=0.25), Writer({}, Redactor([])), Stuck(), Counters())
    taken = sum(log.open("GET", "/", None) is not None for _ in range(2000))
    assert 380 < taken < 620


def test_files_are_rotated_by_size_and_number_and_read_by_owner_and_group_alone(tmp_path):
    path = tmp_path / "requests.jsonl"
    one, two = (FileSink(str(path), size=300, count=2) for _ in range(2))
    for number in range(200):
        (one, two)[number % 2].write(json.dumps({"n": number}), {})
    assert sorted(p.name for p in tmp_path.glob("requests.jsonl*")) == [
        "requests.jsonl",
        "requests.jsonl.1",
        "requests.jsonl.2",
        "requests.jsonl.lock",
    ]
    assert {stat.S_IMODE(os.stat(path).st_mode)} == {0o640}
    lines = [json.loads(line)["n"] for name in (".2", ".1", "") for line in Path(f"{path}{name}").read_text().splitlines()]
    assert lines == list(range(lines[0], 200))
    assert all(os.path.getsize(f"{path}{name}") < 320 for name in ("", ".1", ".2"))
    one.close(0)
    two.close(0)


def _fields(data):
    found = {}
    while data:
        name, _, rest = data.partition(b"\n")
        if b"=" in name:
            key, _, value = name.partition(b"=")
        else:
            key, (size,) = name, struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + size], rest[9 + size :]
        found[key.decode()] = value.decode()
        data = rest
    return found


def test_journald_gets_fields_also_of_records_larger_than_a_datagram(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "socket"))
        server.settimeout(10)
        sink = JournalSink(str(tmp_path / "socket"))
        made = record(entry(b"{}"))
        sink.write("small\nline", made)
        found = _fields(server.recv(65536))
        assert found["MESSAGE"] == "small\nline"
        assert (found["DEPLOYER_STATUS"], found["SYSLOG_FACILITY"], found["DEPLOYER_REQUEST_SCHEMA"]) == ("200", "16", "1")
        sink.write("x" * 4_000_000, made)
        data, control, _, _ = server.recvmsg(10, socket.CMSG_SPACE(4))
        [handle] = array.array("i", control[0][2])
        with os.fdopen(handle, "rb") as file:
            file.seek(0)
            assert data == b""
            assert len(_fields(file.read())["MESSAGE"]) == 4_000_000
        sink.close(0)


def test_kafka_gets_each_record_once_and_a_broker_that_is_away_is_counted():
    from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

    broker = Producer(
        {"test.mock.num.brokers": 1, "log_level": 0}
    )  # librdkafka's own broker for tests: the real protocol on a real socket
    servers = str(next(iter(broker.list_topics(timeout=10).brokers.values())))
    counters = Counters()
    sink = KafkaSink(counters, servers, "requests")
    for number in range(50):
        sink.write(json.dumps({"n": number}), {"id": f"r{number}"})
    sink.close(10)
    assert counters.dropped == {}
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "g", "log_level": 0, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition("requests", number, OFFSET_BEGINNING) for number in range(4)])  # as many as the broker makes
    seen = Counter()
    while seen.total() < 50:
        for message in consumer.consume(50, timeout=0.2):
            assert message.error() is None
            seen[json.loads(message.value())["n"], message.key()] += 1
    consumer.close()
    assert seen == Counter({(n, b"r%d" % n): 1 for n in range(50)})
    away = KafkaSink(counters, "127.0.0.1:9", "requests", more={"queue.buffering.max.messages": 3})
    for number in range(5):
        away.write("{}", {"id": str(number)})
    away.close(0.1)
    assert counters.dropped == {"kafka_queue": 2, "kafka": 3}


def test_the_expression_that_marks_an_engines_line_is_not_one_of_the_logs():
    assert sinks.FACILITY == 16
    assert re.search(CARD, POISON)
