"""Each mistake of a field, in one plain sentence at its place; and how problems look."""

import pytest

from deployer.errors import Problem
from deployer.spec.positions import Positions
from deployer.spec.problems import problem_at, render
from deployer.spec.source import Source
from tests.spec.fleets import DEPLOYMENT

DEPLOYMENTS = r"""
replicas: 0
          ^ replicas must be a whole number from 1 to 10000, not 0

replicas: "2"
          ^ replicas must be a whole number from 1 to 10000, not "2"
? write it without quotes

replicas: 1.5
          ^ replicas must be a whole number from 1 to 10000, not 1.5

replicas: [2]
          ^ replicas must be a whole number from 1 to 10000, not a list

replicas: {min: 1, max: 3}
          ^ replicas: a range is not supported yet, write a number

description: 7
             ^ description must be text, not 7
? write "7"

protected: 1
           ^ protected must be true or false, not 1

tags: chat
      ^ tags must be a list, each item one word of letters, digits and . _ : / -, not "chat"
? write [chat]

state: stoped
       ^ state must be running or stopped, not "stoped"
? did you mean stopped?

sampling: {top_p: 1.5}
                  ^ sampling.top_p must be a number above 0 and at most 1, not 1.5

sampling: 3
          ^ sampling must be a mapping, not 3

endpoint: {timeout: 60}
                    ^ endpoint.timeout must be a duration such as 30s, 5m or 1h, not 60
? did you mean 60s?

endpoint: {timeout: 0s}
                    ^ endpoint.timeout must be a duration such as 30s, 5m or 1h, not "0s"

resources: {memory: 64G}
                    ^ resources.memory must be a size such as 64GiB or 512MiB, not "64G"
? did you mean 64GiB?

placement: {labels: {gpu: 8}}
                          ^ placement.labels.gpu must be one line of text, not 8
? write "8"

rollout: {strategy: canary, canary: {share: 60%}}
                                            ^ rollout.canary.share must be a share from 1% to 50%, not "60%"

rollout: {strategy: bluegreen}
                    ^ rollout.strategy must be auto, blue_green, rolling, canary or recreate, not "bluegreen"
? did you mean blue_green?

handler: {predictor: a.py}
                     ^ there is no file 'a.py'
? handler.predictor is relative to the folder of deployer.yaml

handler: {requirements: a.txt}
^ handler needs predictor or transformer

adapters: [{name: chat, repo: org/a}]
                  ^ 'chat' is the name of another model of this deployment
? clients choose an adapter by this name

adapters: [{name: a, path: no/such}]
                           ^ the folder 'no/such' is not there
? adapters.path is relative to the fleet's root

adapters: [{name: a}]
           ^ adapters[0] needs exactly one of repo, path

keep: 0
      ^ keep must be a whole number from 1 to 1000, not 0

replica: 2
^ a deployment has no 'replica'
? did you mean replicas?

descripton:
^ a deployment has no 'descripton'
? did you mean description?

endpoint: {keys: [{name: a}]}
                  ^ endpoint.keys[0] needs exactly one of sha256, secret

endpoint: {keys: [{name: a, secret: {env: A}}, {name: a, secret: {env: B}}]}
                                                      ^ two keys are named 'a'
? the other one is on line 4

endpoint: {keys: [{name: a, secret: {env: A}}], open: true}
                                                      ^ an endpoint is open or has keys, not both

placement: {hosts: [gpu-9]}
                    ^ there is no host 'gpu-9'
? hosts/ holds one file per host

previous_names: [chat]
                 ^ a deployment is named 'chat' now
? only a name that is free can be a previous one

tags: ["a\e[31m"]
       ^ tags[0] must be one word of letters, digits and . _ : / -, not "a\u001b[31m"
"""

HOSTS = r"""
port: 70000
      ^ port must be a whole number from 1 to 65535, not 70000

port: ssh
      ^ port must be a whole number from 1 to 65535, not "ssh"

ports: 20000
       ^ ports must be a range of ports such as 20000-20999, not 20000

ports: 30000-20000
       ^ ports must be a range between 1024 and 65535, the smaller port first, not "30000-20000"

ports: 80-90000
       ^ ports must be a range between 1024 and 65535, the smaller port first, not "80-90000"

gpus: [0, GPU-1]
      ^ gpus must be all, a list of GPU numbers, or a list of GPU UUIDs, not a list

gpus: any
      ^ gpus must be all, a list of GPU numbers, or a list of GPU UUIDs, not "any"

paths: {modles: /x}
        ^ paths has no 'modles'
? did you mean models?

paths: {modles: }
        ^ paths has no 'modles'
? did you mean models?

paths: {models: x}
                ^ paths.models must be a path that starts with /, not "x"

jump: gpu-01
      ^ a host cannot be its own jump host

jump: bastion
      ^ there is no host 'bastion'
? write another host's name, or user@address

user: -oProxyCommand=x
      ^ user must be the name of a user, not "-oProxyCommand=x"

user: "a b"
      ^ user must be the name of a user, not "a b"

proxy: http://me:secret@proxy:1
       ^ proxy must be an address such as http://proxy:3128, without a password, not "http://me:secret@proxy:1"

price: 2
       ^ price must be the price of one GPU for an hour such as 2.49 EUR, more than nothing and less than 1000, not 2

price: -2.49 EUR
       ^ price must be the price of one GPU for an hour such as 2.49 EUR, more than nothing and less than 1000, not "-2.49 EUR"

price: 0.00 EUR
       ^ price must be the price of one GPU for an hour such as 2.49 EUR, more than nothing and less than 1000, not "0.00 EUR"

price: 2490 EUR
       ^ price must be the price of one GPU for an hour such as 2.49 EUR, more than nothing and less than 1000, not "2490 EUR"

price: 2.49 €
       ^ price must be the price of one GPU for an hour such as 2.49 EUR, more than nothing and less than 1000, not "2.49 €"

price: {eur: 2}
       ^ price must be the price of one GPU for an hour such as 2.49 EUR, more than nothing and less than 1000, not a mapping

state: asleep
       ^ state must be active, cordoned, drained or retired, not "asleep"
"""


def cases(table):
    """A line that is wrong, a caret under its place with the message, and after a question mark the hint."""
    for block in table.strip("\n").split("\n\n"):
        line, caret, *hint = block.split("\n")
        before, message = caret.split("^ ", 1)
        yield pytest.param(line, len(before) + 1, message, hint[0].removeprefix("? ") if hint else None, id=line)


@pytest.mark.parametrize(("line", "column", "message", "hint"), list(cases(DEPLOYMENTS)))
def test_a_line_of_a_deployment(deployment, line, column, message, hint):
    found = deployment(line)
    assert (found.where, found.message, found.hint) == (f"deployments/chat.yaml:4:{column}", message, hint)


@pytest.mark.parametrize(("line", "column", "message", "hint"), list(cases(HOSTS)))
def test_a_line_of_a_host(host, line, column, message, hint):
    found = host(line)
    assert (found.where, found.message, found.hint) == (f"hosts/gpu-01.yaml:3:{column}", message, hint)


def test_every_problem_of_one_value_is_told(wrong):
    found = wrong({"deployments/chat.yaml": DEPLOYMENT + "endpoint: {keys: [{sha256: x}]}"})
    assert [one.message for one in found] == [
        "endpoint.keys[0] needs name",
        'endpoint.keys[0].sha256 must be a sha256: 64 digits from 0 to 9 and a to f, not "x"',
    ]


NAME = "name must be small letters, digits and inner hyphens, at most 40 of them, not "
REST = "model: {repo: o/t}\nengine: {vllm: {}}\n"
ONE_SOURCE = "model needs exactly one of repo, path, host_path, catalog"
TWO_ENGINES = "one engine is wanted, not vllm and ctranslate2"
ONE_ENGINE = "engine must be a mapping with one engine: ctranslate2 or vllm"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("name: a\n", ["a deployment needs engine", "a deployment needs model"]),
        ("name: a\nmodel: {}\nengine: {vllm: {}}\n", [ONE_SOURCE]),
        ("name: a\nmodel: {repo: o/t, path: x}\nengine: {vllm: {}}\n", [ONE_SOURCE, "the folder 'x' is not there"]),
        ("name: a\nmodel: {catalog: llama}\nengine: {vllm: {}}\n", ["the catalogue has no 'llama'"]),
        ("name: a\nmodel: {repo: o/t, catalog: gpt-oss-20b}\nengine: {vllm: {}}\n", [ONE_SOURCE]),
        ("name: a\nmodel: {path: ../x}\nengine: {vllm: {}}\n", ["model.path must stay in the fleet"]),
        ("name: a\nmodel: {repo: o/t}\nengine: vllm\n", [ONE_ENGINE]),
        ("name: a\nmodel: {repo: o/t}\nengine: {}\n", [ONE_ENGINE]),
        ("name: a\nmodel: {repo: o/t}\nengine: [vllm]\n", [ONE_ENGINE]),
        ("name: a\nmodel: {repo: o/t}\nengine: {vlm: {}}\n", ["there is no engine 'vlm'"]),
        ("name: a\nmodel: {repo: o/t}\nengine: {vllm: {}, ctranslate2: {}}\n", [TWO_ENGINES]),
        ("name: a\nmodel: {repo: o/t}\nengine: {vllm: 3}\n", ["engine.vllm must be a mapping, not 3"]),
        ("name: Ü\n" + REST, [NAME + '"Ü"']),
        ('name: "a\\n"\n' + REST, [NAME + '"a\\n"']),
        (f"name: {'a' * 41}\n{REST}", [NAME + f'"{"a" * 41}"']),
    ],
)  # fmt: skip
def test_a_whole_deployment(wrong, text, messages):
    assert [found.message for found in wrong({"deployments/a.yaml": text})] == messages


def test_a_host_needs_an_address_unless_it_is_this_machine(wrong, load):
    [found] = wrong({"hosts/a.yaml": "name: a\n"})
    assert found.message == "a host needs address (or connection: local)"
    assert load({"hosts/a.yaml": "name: a\nconnection: local\n"}).fleet.hosts["a"].address is None


def test_one_machine_in_two_files_is_told(wrong):
    files = {
        "hosts/a.yaml": "name: a\naddress: h\nport: 22\n",
        "hosts/b.yaml": "name: b\naddress: h\n",
        "hosts/c.yaml": "name: c\naddress: h\nport: 23\n",
    }
    [found] = wrong(files)
    assert (found.where, found.message) == ("hosts/b.yaml:2:10", "the machine at h is in hosts/a.yaml already")


def test_two_of_one_name_are_told_with_both_places(wrong):
    text = "name: {}\nmodel: {{repo: o/t}}\nengine: {{vllm: {{}}}}\nprevious_names: [old]\n"
    found = wrong({"deployments/a.yaml": text.format("x"), "deployments/b.yaml": text.format("x")})
    assert [(one.where, one.message, one.hint) for one in found] == [
        ("deployments/b.yaml:1:7", "two deployments are named 'x'", "the other one is in deployments/a.yaml:1"),
        ("deployments/b.yaml:4:18", "'old' is a previous name twice", "also in deployments/a.yaml:4"),
    ]


def test_a_rate_limit_is_a_number_in_a_time(wrong):
    text = "name: x\nmodel: {repo: o/t}\nengine: {vllm: {}}\nendpoint: {rate_limit: 60 per minute}\n"
    [found] = wrong({"deployments/a.yaml": text})
    assert found.message == 'endpoint.rate_limit must be a rate such as 60/m, 5/s or 1000/h, not "60 per minute"'


@pytest.mark.parametrize(
    "lines",
    [
        "  token: hf_POISON",
        "  token: {value: hf_POISON, env: A}",
        "  token: {env: hf POISON}",
        "  token: [hf_POISON]",
        "  token: {env: [hf_POISON], x: POISON}",
    ],
)
def test_a_secret_in_a_file_is_never_repeated(wrong, lines):
    found = wrong({"deployments/a.yaml": "name: a\nengine: {vllm: {}}\nmodel:\n  repo: o/t\n" + lines + "\n"})
    assert found
    assert "POISON" not in render(found) + repr(found)


def test_later_stages_add_problems_at_a_value(load):
    positions = load(
        {"deployments/chat.yaml": "name: chat\nmodel: {repo: o/t}\nengine:\n  vllm: {max_model_len: 99}\n"}
    ).positions
    found = problem_at(positions, "deployment:chat", ("engine", "vllm", "max_model_len"), "too long", "at most 50")
    assert render([found]) == (
        "deployments/chat.yaml:4:25: too long\n"
        "  4 |   vllm: {max_model_len: 99}\n"
        "    |                         ^^ at most 50\n"
        "1 problem in 1 file"
    )
    missing = problem_at(positions, "deployment:chat", ("engine", "vllm", "dtype"), "is needed")
    assert (missing.line, missing.column, missing.width) == (4, 3, 4)
    by_hand = Positions({("deployment:x", ("name",)): Source("f.yaml", 3, 7)})
    assert problem_at(by_hand, "deployment:x", ("name", "y"), "m").where == "f.yaml:3:7"
    assert problem_at(by_hand, "deployment:z", (), "m").where == "deployment:z"


def test_a_line_is_shown_so_that_the_caret_stands_under_its_value():
    wide = Problem("a.yaml", 12, 9, "m", "h", "\tk: 日本, x", 1)
    assert render([wide]).splitlines()[1:3] == ["  12 |  k: 日本, x", "     |           ^ h"]
    long = Problem("a.yaml", 1, 300, "m", "h", "x" * 299 + "HERE" + "y" * 300, 4)
    line, caret = render([long]).splitlines()[1:3]
    assert len(line) < 140
    assert line[caret.index("^") : caret.rindex("^") + 1] == "HERE"
    escape = Problem("a\x1b.yaml", 1, 1, "m\x1b", None, "a: \x1b[31m\u202e", 1)
    assert not {"\x1b", "\u202e"} & set(render([escape]))
