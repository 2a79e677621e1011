"""`handler:`: what its files hold, and every way in which they are wrong, with the line."""

import hashlib

import pytest

from tests.spec.fleets import DEPLOYMENT

TRANSFORMER = "class Transformer:\n    def preprocess(self, request):\n        return request\n"
HASH = "a" * 64


def files(handler, **more):
    return {"deployments/chat.yaml": DEPLOYMENT + f"handler: {handler}\n", **more}


@pytest.fixture
def one(load):
    return lambda handler, **more: load(files(handler, **more)).fleet.deployments["chat"].handler.found


@pytest.fixture
def said(wrong):
    def said(handler, **more):
        return [(f"{p.file}:{p.line}", p.message, p.hint) for p in wrong(files(handler, **more))]

    return said


def test_a_file_is_pushed_alone_and_a_folder_whole(one):
    found = one("{transformer: s/t.py}", **{"s/t.py": TRANSFORMER, "s/other.py": "1"})
    assert [(f.path, f.source, f.size) for f in found.files] == [("t.py", "s/t.py", len(TRANSFORMER))]
    assert found.files[0].digest == "sha256:" + hashlib.sha256(TRANSFORMER.encode()).hexdigest()
    tree = {"f/transformer.py": TRANSFORMER, "f/a/words.txt": "x", "f/.hidden": "1", "f/__pycache__/a.pyc": "1"}
    found = one("{transformer: f}", **tree)
    assert ([f.path for f in found.files], found.transformer) == (["a/words.txt", "transformer.py"], "transformer.py")


def test_requirements_are_names_versions_and_hashes(one):
    text = f"# made by uv\na==1.0 \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{'b' * 64}\n    # via x\n"
    text += f'B.c[x]==2 ; python_version < "3.12" --hash=sha256:{HASH}\n'
    found = one("{transformer: t.py, requirements: r.txt}", **{"t.py": TRANSFORMER, "r.txt": text})
    assert [(p.requirement, len(p.hashes)) for p in found.pins] == [("a==1.0", 2), ('B.c[x]==2 ; python_version < "3.12"', 1)]


def test_requirements_without_hashes_are_refused_with_line_and_command(said):
    text = f"a==1.0 --hash=sha256:{HASH}\n\nb==2\nc>=3\n-r other.txt\nd==1 --hash=md5:00\n"
    command = "uv pip compile --generate-hashes requirements.in -o r.txt"
    assert said("{transformer: t.py, requirements: r.txt}", **{"t.py": TRANSFORMER, "r.txt": text}) == [
        ("r.txt:3", "b==2 has no hash", command),
        ("r.txt:4", "'c>=3' is not name==version with hashes", command),
        ("r.txt:5", "'-r other.txt' is not name==version with hashes", command),
        ("r.txt:6", "d==1 has no hash", command),
    ]


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("t.py", "class Transformer:\n  def preprocess(self request): pass", 2, "this is not Python: invalid syntax"),
        ("t.py", "x = 1", 0, "there is no class Transformer"),
        ("t.py", "class Transformer:\n  def preproces(self, r): pass", 1, "Transformer has no preprocess and no postprocess"),
    ],
)
def test_a_script_that_cannot_work_is_named_by_line(said, name, text, line, message):
    [(where, what, _)] = said("{transformer: t.py}", **{name: text})
    assert where == f"{name}:{line}"
    assert what.startswith(message)


def test_paths_lead_to_scripts_of_the_fleet(said, tmp_path):
    (tmp_path / "away").symlink_to("/etc")
    for given, message in [
        ("../t.py", "handler.transformer must stay in the fleet"),
        ("away", "handler.transformer must stay in the fleet"),
        ("empty", "there is no file 'empty'"),
        ("notes.txt", "'notes.txt' is not a Python file"),
    ]:
        assert [what for _, what, _ in said(f"{{transformer: {given}}}", **{"notes.txt": "x"})] == [message]


def test_two_files_of_one_name_are_refused(said):
    both = {"a/s.py": TRANSFORMER, "b/s.py": "class Predictor:\n  def predict(self, r): return r"}
    [(_, what, hint)] = said("{predictor: b/s.py, transformer: a/s.py}", **both)
    assert (what, hint) == ("a/s.py and b/s.py would both be s.py", "give one of them another name")
