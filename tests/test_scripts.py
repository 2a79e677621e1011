"""The scripts that people and CI call: the lock fits pyproject, changelog and summaries say what they should."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).parents[1]


def pins(name: str) -> dict[str, str]:
    """Package → version of a file of requirements/."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return {match[1].lower().replace("_", "-"): match[2] for match in re.finditer(r"^([\w.-]+)==([^\s;\\]+)", text, re.M)}


def wanted(*groups: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["tui"]]
    for group in groups:
        lines += project["dependency-groups"][group]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize(("file", "groups"), [("run.txt", ("build",)), ("dev.txt", ("build", "dev"))])
def test_the_lock_pins_a_fitting_version_of_everything_pyproject_asks_for(file: str, groups: tuple[str, ...]) -> None:
    pinned = pins(file)
    for requirement in wanted(*groups):
        version = pinned.get(requirement.name.lower().replace("_", "-"))
        assert version, f"{requirement.name} is not in requirements/{file}: run script/relock"
        assert requirement.specifier.contains(version), f"{requirement} is locked as {version}: run script/relock"


def test_both_locks_pin_the_same_versions() -> None:
    run, dev = pins("run.txt"), pins("dev.txt")
    assert run.items() <= dev.items()


@pytest.mark.parametrize("file", ["run.txt", "dev.txt"])
def test_every_pinned_package_has_hashes_and_no_index_is_named(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=\S+==)", text, flags=re.M)
    assert len(blocks) > len(pins(file))  # the split found every block; a package may be pinned once per platform
    assert [block for block in blocks[1:] if "--hash=sha256:" not in block] == []
    assert not re.search(r"https?://|--(?:extra-)?index-url|--find-links", text)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with script/ and changelog.d/ as the scripts find them."""
    shutil.copytree(ROOT / "script", tmp_path / "script")
    (tmp_path / "changelog.d").mkdir()
    return tmp_path


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)


def test_fragments_become_the_newest_section_of_the_changelog(copy: Path) -> None:
    (copy / "CHANGELOG.md").write_text("# Changelog\n\n## 0.1.0 (2026-01-01)\n\n### Added\n\n- The first.\n")
    (copy / "changelog.d/7.fixed.md").write_text("A lock is let go\nwhen its holder dies.\n")
    done = call(copy, "script/changelog", "0.2.0")
    assert done.returncode == 0, done.stderr
    text = (copy / "CHANGELOG.md").read_text()
    assert re.match(
        r"# Changelog\n\n## 0\.2\.0 \(.{10}\)\n\n### Fixed\n\n- A lock is let go\n  when its holder dies\.\n\n## 0\.1\.0 ", text
    )
    assert list((copy / "changelog.d").iterdir()) == []


def test_a_release_without_fragments_is_refused(copy: Path) -> None:
    done = call(copy, "script/changelog", "0.2.0")
    assert done.returncode == 1
    assert "nothing to release" in done.stderr
    assert not (copy / "CHANGELOG.md").exists()


REPORT = '<testsuites><testsuite tests="9" failures="{failures}" errors="0" skipped="1"/></testsuites>'


@pytest.mark.parametrize(
    ("failures", "code", "says"),
    [
        (0, 0, "lab 8 passed, 1 skipped"),
        (2, 1, "lab 6 passed, 2 failed, 1 skipped"),
        (0, 124, "lab 8 passed, 1 skipped, pytest ended with 124"),
    ],
)
def test_a_tier_is_summarised_from_pytests_own_report(copy: Path, failures: int, code: int, says: str) -> None:
    (copy / "lab.xml").write_text(REPORT.format(failures=failures))
    assert call(copy, "script/junit-line", "lab", "lab.xml", str(code)).stdout.strip() == says


def test_a_tier_that_left_no_report_counts_as_failed(copy: Path) -> None:
    assert "FAILED" in call(copy, "script/junit-line", "lab", "none.xml", "137").stdout


def test_a_tier_that_does_not_exist_is_said_so(copy: Path) -> None:
    done = call(copy, "script/test", "labb")
    assert done.returncode == 64
    assert "there are lint, unit, lab, vllm" in done.stderr


def test_a_llama_server_is_packed_as_a_wheel_that_no_index_can_have(tmp_path: Path) -> None:
    program, licence = tmp_path / "llama-server", tmp_path / "LICENSE"
    program.write_bytes(b"\x7fELF")
    licence.write_text("MIT")
    command = (sys.executable, str(ROOT / "script/llama-server-wheel"), str(program), str(licence), "11434+cpu", str(tmp_path))
    made = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)]
    first = Path(made[0]).read_bytes()
    assert Path(made[1]).read_bytes() == first, "the same program gives the same bytes"
    name, version, _, tags = parse_wheel_filename(Path(made[0]).name)
    assert (name, version.local) == ("deployer-llama-server", "cpu")
    assert all(tag.platform.startswith("manylinux_2_") for tag in tags)
    with zipfile.ZipFile(made[0]) as wheel:
        entry = wheel.getinfo("deployer_llama_server-11434+cpu.data/scripts/llama-server")
        assert entry.external_attr >> 16 & 0o111
        assert wheel.read(entry) == b"\x7fELF"
