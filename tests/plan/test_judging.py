"""Which options are asked about for a plan, where, and what the answers make of it."""

from typing import Any

from deployer.plan.judging import Answer, Question, changed, questions, spread, with_answers
from deployer.plan.model import Change, Delta, Plan, Refusal
from deployer.plan.record import resource_json
from deployer.spec.source import Source
from deployer.state.observed import Reached
from deployer.state.resources import Attribute, Kind, Resource

OPTIONS = {"key": "ab" * 12, "checker": "vllm", "env": "/env", "text": "", "environ": {}}


def at(line: int) -> Source:
    return Source("deployments/chat.yaml", line, 3)


def change(host: str = "h1", number: int = 0, key: str = "ab" * 12, *, state: str = "running", **more: Any) -> Change:
    told = {"options": {**OPTIONS, "key": key}}
    attributes = (Attribute("state", state),)
    after = Resource(host, Kind.REPLICA, f"chat/{number}", "chat", attributes, told, needs=("model:m", "environment:e"))
    actions = more.pop("actions", ("delete", "create"))
    return Change(f"{host}-{number}", host, Kind.REPLICA, after.name, "chat", actions, "", after=after, source=at(1), **more)


def plan(*changes: Change, refusals: tuple[Refusal, ...] = ()) -> Plan:
    return Plan("p", "f", "acme", None, None, "now", changes=changes, refusals=refusals)


def test_what_gets_a_process_is_asked_once_where_it_can_be() -> None:
    made = Change("m", "h2", Kind.MODEL, "m", None, ("create",), "", after=Resource("h2", Kind.MODEL, "m"))
    [asked] = questions(plan(made, change("h1"), change("h1", 1), change("h2", 2)), {})
    assert (asked.hosts, asked.deployments, len(asked.changes)) == (("h1",), ("chat",), 2)
    assert questions(plan(change(state="stopped")), {}) == ()
    assert questions(plan(change(actions=("update",))), {}) == ()
    assert questions(plan(change(), refusals=(Refusal("host-path", "", host="h1", deployment="chat"),)), {}) == ()


def test_what_runs_somewhere_is_not_asked() -> None:
    def recorded(state: str) -> Reached:
        found = change("h9", state=state).after
        assert found is not None
        return Reached("h9", {"records": {"chat": {"resources": [resource_json(found)]}}}, 0.1)

    assert questions(plan(change()), {"h9": recorded("running")}) == ()
    assert len(questions(plan(change()), {"h9": recorded("stopped")})) == 1


def test_questions_are_spread_over_the_hosts_that_could_answer() -> None:
    asked = [Question(key, {}, (), hosts) for key, hosts in [("a", ("h1", "h2")), ("b", ("h1",)), ("c", ("h1", "h2", "h3"))]]
    wanted = {host: [q.key for q in mine] for host, mine in spread(asked).items()}
    assert wanted == {"h1": ["b"], "h2": ["a"], "h3": ["c"]}
    assert spread(reversed(asked)) == spread(asked)


def test_the_line_is_that_of_the_option_that_is_named() -> None:
    deltas = tuple(Delta(name, 1, 2, True, source=at(line)) for name, line in [("seed", 5), ("args.max_num_batched_tokens", 9)])
    one = change(deltas=deltas)
    assert changed(one, "max-num-batched-tokens (4) is too small") == at(9)
    assert changed(one, "something else") == at(5)
    assert changed(change(), "something else") == at(1)


def test_answers_become_refusals_words_and_what_is_known() -> None:
    made = plan(change("h1"), change("h2", 1, "cd" * 12), change("h3", 2, "ef" * 12), change("h4", 3, "01" * 12))
    asked = questions(made, {})
    said = {"ab" * 12: Answer("h1", "wrong", "no"), "cd" * 12: Answer("h2", "well"), "ef" * 12: Answer("h3", "unknown", "odd")}
    found = with_answers(made, asked, said)
    assert [(r.code, r.host, r.deployment, r.what) for r in found.refusals] == [
        ("options", "h1", "chat", "chat: the engine refuses its options: no")
    ]
    assert found.judged == {"h2": ("cd" * 12,)}
    assert sorted(n.what for n in found.notices) == [
        "chat: its options are checked at apply; h4 could not say yet (no answer)",
        "chat: whether its engine takes these options could not be told on h3: odd",
    ]
    assert found.changes == made.changes
