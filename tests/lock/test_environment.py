"""The real uv: against a small index of our own, and once against the index this machine uses."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from deployer.errors import LockfileError
from deployer.lock import environment
from deployer.lock.environment import lock_environment
from deployer.lock.indexes import indexes
from deployer.lock.tools import uv_path
from deployer.spec.models import Packages
from deployer.state.canonical import text_digest
from deployer.state.locked import LockedTarget
from deployer.state.needs import EnvironmentNeed
from tests.lock.wheelhouse import make_wheel, served, write_index

TARGET = "3.11/x86_64/glibc-2.36"
POISON = "sesame4711"


def need(*requirements: str, **more: Any) -> EnvironmentNeed:
    return EnvironmentNeed("engine-1", requirements, **more)


@pytest.fixture
def index(bare: None, tmp_path: Path) -> Path:
    files = tmp_path / "index" / "files"
    make_wheel(files, "engine", "1.0", ("needed>=2", "heavy"))
    make_wheel(files, "needed", "2.0")
    make_wheel(files, "heavy", "1.0")
    make_wheel(files, "old-only", "1.0", ("needed<2",))
    for tag in ("cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-manylinux_2_28_aarch64", "cp310-cp310-manylinux_2_28_x86_64"):
        make_wheel(files, "native", "1.0", tag=tag)
    make_wheel(files, "new-libc", "1.0", tag="cp311-cp311-manylinux_2_39_x86_64")
    return write_index(tmp_path / "index").parent


def lock(index: Path, wanted: EnvironmentNeed, target: str = TARGET, **more: Any) -> LockedTarget:
    with served(index) as address:
        return lock_environment(wanted, target, indexes(index, Packages(index_url=f"http://{address}", **more)))


def names(locked: LockedTarget) -> list[str]:
    return [line.split(" ")[0] for line in locked.text.splitlines()]


def test_requirements_become_pinned_lines_with_hashes(index: Path) -> None:
    locked = lock(index, need("engine"))
    assert names(locked) == ["engine==1.0", "heavy==1.0", "needed==2.0"]
    assert (locked.file, locked.packages) == ("locks/engine-1.3.11-x86_64-glibc-2.36.txt", 3)
    assert locked.digest == text_digest(locked.text)
    assert locked.text.count("--hash=sha256:") == 3
    assert "127.0.0.1" not in locked.text


def test_only_the_hash_of_the_wheel_that_fits_the_target_is_kept(index: Path) -> None:
    here, there = lock(index, need("native")), lock(index, need("native"), "3.11/aarch64/glibc-2.36")
    assert here.text.count("--hash") == there.text.count("--hash") == 1
    assert here.text != there.text


def test_an_excluded_package_is_left_out_although_something_asks_for_it(index: Path) -> None:
    assert names(lock(index, need("engine", exclude=("heavy",)))) == ["engine==1.0", "needed==2.0"]


def test_a_conflict_is_told_in_uvs_words_with_the_requirement(index: Path) -> None:
    with pytest.raises(LockfileError) as raised:
        lock(index, need("engine", "old-only"))
    error = raised.value
    assert error.what.startswith("no set of packages fits engine, old-only; uv says:")
    assert "needed<2" in error.what
    assert error.where == f"engine-1 for {TARGET}"


def test_a_wheel_for_a_newer_c_library_does_not_fit(index: Path) -> None:
    assert names(lock(index, need("new-libc"), "3.11/x86_64/glibc-2.39")) == ["new-libc==1.0"]
    with pytest.raises(LockfileError, match="no set of packages fits new-libc"):
        lock(index, need("new-libc"))


def test_a_wheel_of_a_folder_is_marked_to_be_pushed(index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "needed", "2.0+cpu")
    locked = lock(index, need("engine"), find_links=(str(tmp_path / "wheels"),))
    assert "needed==2.0+cpu" in names(locked)
    assert [(w.name, w.size) for w in locked.wheels] == [(wheel.name, wheel.stat().st_size)]


def test_what_was_locked_installs_with_hashes_required_and_a_changed_wheel_does_not(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path / "wheels", "needed", "2.0+cpu")
    (tmp_path / "lock.txt").write_text(lock(index, need("engine"), find_links=(str(wheel.parent),)).text)

    def install(name: str) -> "subprocess.CompletedProcess[str]":
        uv = [str(uv_path()), "pip"]
        argv = [*uv, "install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--python", sys.executable]
        with served(index) as address:
            argv += ["--default-index", f"http://{address}", "--find-links", str(wheel.parent), "--target", str(tmp_path / name)]
            return subprocess.run([*argv, "-r", str(tmp_path / "lock.txt")], capture_output=True, text=True)

    assert install("one").returncode == 0
    assert sorted(p.name for p in (tmp_path / "one").glob("*.py")) == ["engine.py", "heavy.py", "needed.py"]
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("evil.py", "")
    assert install("two").returncode == 0  # from uv's cache: the bytes it has checked before
    assert not (tmp_path / "two" / "evil.py").exists()
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "fresh-cache"))
    refused = install("three")
    assert "Hash mismatch" in refused.stderr
    assert not (tmp_path / "three" / "evil.py").exists()


def test_pips_settings_find_packages_too(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(tmp_path / "wheels", "private", "1.0")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    with served(index) as address:
        (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = http://{address}\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        locked = lock_environment(need("engine", "private"), TARGET, indexes(tmp_path, Packages()))
    assert names(locked) == ["engine==1.0", "heavy==1.0", "needed==2.0", "private==1.0"]


def test_a_cache_of_this_machine_is_asked_only_when_the_index_does_not_suffice(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path / "more" / "files", "needed", "2.5")
    make_wheel(tmp_path / "more" / "files", "rare", "1.0")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", write_index(tmp_path / "more").as_uri())
    assert lock(index, need("needed")).wheels == ()
    assert [w.name for w in lock(index, need("rare")).wheels] == ["rare-1.0-py3-none-any.whl"]


def test_an_engines_own_index_is_asked_before_the_others(index: Path, tmp_path: Path) -> None:
    make_wheel(tmp_path / "nightly" / "files", "engine", "1.1.dev1", ("needed",))
    write_index(tmp_path / "nightly")
    with served(tmp_path / "nightly") as nightly:
        locked = lock(index, need("engine==1.1.dev1", index_url=f"http://{nightly}"))
    assert names(locked) == ["engine==1.1.dev1", "needed==2.0"]


def test_an_index_that_cannot_be_reached_is_told_from_a_conflict(
    bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(LockfileError, match="could not reach a package index"):
        lock_environment(need("engine"), TARGET, indexes(tmp_path, Packages(index_url="http://127.0.0.1:9/simple")))


def test_credentials_of_an_index_are_in_no_argument_no_message_and_not_in_the_lock(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    real = subprocess.run

    def spy(argv: list[str], **more: Any) -> Any:
        ran.append(argv)
        return real(argv, **more)

    monkeypatch.setattr(environment.subprocess, "run", spy)
    with served(index, POISON) as address:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://user:{POISON}@{address}")  # the spec refuses them in a committed file
        packages = Packages()
        assert POISON not in repr(lock_environment(need("engine"), TARGET, indexes(index, packages)))
        for wanted in (need("engine", "old-only"), need("no-such-thing")):
            with pytest.raises(LockfileError) as raised:
                lock_environment(wanted, TARGET, indexes(index, packages))
            assert POISON not in f"{raised.value.what} {raised.value.hint} {raised.value.where}"
    assert len(ran) == 3
    assert POISON not in str(ran)


def test_a_uv_that_prints_credentials_and_much_else_is_shortened_and_cleaned() -> None:
    said = environment._Unsolved("warning: old\n" + "".join(f"  × line {n} http://user:{POISON}@host/x\n" for n in range(40)))
    what = environment._explained(said, need("engine"), TARGET).what
    assert POISON not in what
    assert "  line 13 http://***@host/x\n  …" in what
    assert "line 14" not in what
    assert "warning" not in what


@pytest.mark.parametrize("line", ["--index-url http://evil", "-r /etc/passwd", "# x", "a\n--pre", "", "a\u2028b"])
def test_a_requirement_cannot_smuggle_in_an_option(index: Path, line: str) -> None:
    with pytest.raises(LockfileError, match="is not a requirement"):
        lock(index, need(line))
    with pytest.raises(LockfileError, match="is not a requirement"):
        lock(index, need("engine", exclude=(line,)))


def test_a_broken_requirement_is_told_in_uvs_words(index: Path) -> None:
    with pytest.raises(LockfileError, match="engine===="):
        lock(index, need("engine===="))


def test_a_uv_that_hangs_is_ended(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_DEADLINE_S", 0.001)
    with pytest.raises(LockfileError, match=r"uv found no answer in 0.001 s") as raised:
        lock(index, need("engine"))
    assert raised.value.where == f"engine-1 for {TARGET}"


def test_ctranslate2_resolves_from_the_index_this_machine_uses(tmp_path: Path) -> None:
    wanted = EnvironmentNeed("ctranslate2-4.8.5", ("ctranslate2==4.8.5", "tokenizers", "starlette", "uvicorn", "jinja2"))
    locked = lock_environment(wanted, TARGET, indexes(tmp_path, Packages()))
    assert {"ctranslate2", "tokenizers", "starlette", "uvicorn", "jinja2"} <= {name.split("==")[0] for name in names(locked)}
    assert "ctranslate2==4.8.5" in names(locked)
    assert all(line.count(" --hash=sha256:") >= 1 for line in locked.text.splitlines())
