"""What must not be in a tracked file: where somebody's machine keeps things, whose package index was used, unfinished work."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
# Written in two halves, so that this file does not find itself.
INDEX_HOSTS = ("pypi" + ".org", "python" + "hosted.org", "pypi.nvidia" + ".com", "download.py" + "torch.org")
HOME = re.compile(r"/(?:ho" + r"me|Us" + r"ers)/(?!user\b|you\b|deploy\b|\$|<|\{)[a-z][\w.-]*/")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|NotImplemented" + r"Error")


def output_of(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def tracked() -> dict[str, str]:
    """Path → text of every tracked text file that is there (a file just deleted is not)."""
    names = output_of("git", "ls-files", "-z").split("\0")
    found = {}
    for name in filter(None, names):
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            try:
                found[name] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a model's weights, a picture
    return found


def hits(pattern: re.Pattern[str], prefix: str = "") -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in tracked().items()
        if name.startswith(prefix)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def configured_index_hosts() -> set[str]:
    """The hosts of the package indexes this machine's pip is set up with: theirs are no names for a repository."""
    shown = output_of(sys.executable, "-m", "pip", "config", "list")
    urls = re.findall(r"https?://[^\s'\"]+", shown)
    return {host for url in urls if (host := urlsplit(url).hostname) and host != "localhost"}


def test_there_are_files_to_look_at() -> None:
    assert {"pyproject.toml", "deployer/errors.py"} <= set(tracked())


def test_no_package_index_is_named() -> None:
    names = sorted({*INDEX_HOSTS, *configured_index_hosts()})
    assert hits(re.compile("|".join(map(re.escape, names)))) == []


def test_no_path_of_a_machine_is_named() -> None:
    own = re.compile("|".join(re.escape(f"{path}/") for path in {str(ROOT), str(ROOT.resolve())}))
    assert hits(own) + hits(HOME) == []


def test_the_code_is_finished() -> None:
    assert hits(UNFINISHED, "deployer/") == []


def test_every_script_can_be_run() -> None:
    listed = output_of("git", "ls-files", "-s", "script", ".ci")
    rows = [line.split(maxsplit=3) for line in listed.splitlines()]
    scripts = [row for row in rows if not row[3].endswith((".py", ".md", ".toml", ".yaml"))]
    assert scripts
    assert [row[3] for row in scripts if row[0] != "100755"] == []


def test_changelog_fragments_say_one_thing_each() -> None:
    """changelog.d/<number>.<kind>.md, a line or a few; script/changelog gathers them."""
    for path in (ROOT / "changelog.d").glob("*"):
        if path.name == "README.md":
            continue
        assert re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed|security)\.md", path.name), path.name
        text = path.read_text(encoding="utf-8").strip()
        assert text, path.name
        assert len(text.splitlines()) <= 12, path.name
