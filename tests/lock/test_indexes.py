import os
from pathlib import Path

import pytest

from deployer.lock.indexes import indexes, local_path
from deployer.lock.pipconf import PipSettings, config_files, pip_settings
from deployer.spec.models import Packages


def conf(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_later_files_win_and_variables_win_over_files(tmp_path: Path) -> None:
    first = conf(tmp_path, "a", "[global]\nindex-url = https://one/simple\ncert = /a.pem\n")
    second = conf(tmp_path, "b", "[global]\nindex_url = https://two/simple\n[install]\nfind-links = /w1\n  /w2\n")
    settings = pip_settings({}, [first, second])
    assert (settings.index_url, settings.find_links, settings.cert) == ("https://two/simple", ("/w1", "/w2"), "/a.pem")
    assert pip_settings({"PIP_INDEX_URL": "https://env/simple", "PIP_NO_INDEX": "1"}, [first]).index_url == "https://env/simple"


def test_broken_and_missing_files_say_nothing(tmp_path: Path) -> None:
    broken = conf(tmp_path, "a", "index-url = no section\n")
    binary = tmp_path / "b"
    binary.write_bytes(b"\xff\xfe")
    assert pip_settings({}, [broken, binary, tmp_path / "none"]) == PipSettings()


def test_a_percent_sign_in_a_value_is_a_percent_sign(tmp_path: Path) -> None:
    assert (
        pip_settings({}, [conf(tmp_path, "a", "[global]\nindex-url = https://u:p%40x@one\n")]).index_url == "https://u:p%40x@one"
    )


def test_files_are_looked_for_where_pip_looks(tmp_path: Path) -> None:
    environ = {"HOME": "/h", "XDG_CONFIG_HOME": "/x", "XDG_CONFIG_DIRS": "/d1:/d2", "PIP_CONFIG_FILE": "/mine"}
    found = [str(path) for path in config_files(environ)]
    assert found[0] in ("/d2/pip/pip.conf", "/Library/Application Support/pip/pip.conf")
    assert found.index("/etc/pip.conf") < found.index("/h/.pip/pip.conf") < found.index("/x/pip/pip.conf") < found.index("/mine")
    assert config_files({"PIP_CONFIG_FILE": os.devnull}) == ()


def test_the_fleet_wins_over_uv_and_uv_over_pip(tmp_path: Path) -> None:
    pip = PipSettings(index_url="https://pip/simple")
    assert indexes(tmp_path, Packages(), {}, pip).default == "https://pip/simple"
    environ = {"UV_INDEX_URL": "https://uv/simple"}
    assert indexes(tmp_path, Packages(), environ, pip).default == "https://uv/simple"
    assert indexes(tmp_path, Packages(index_url="https://fleet/simple"), environ, pip).default == "https://fleet/simple"
    assert indexes(tmp_path, Packages(), {}, PipSettings()).default is None


def test_lists_add_up_in_order_and_relative_folders_start_at_the_fleet(tmp_path: Path) -> None:
    packages = Packages(find_links=("wheels",), extra_index_urls=("https://fleet",))
    pip = PipSettings(find_links=("/pip",), extra_index_urls=("https://pip", "file:///opt/cache/simple"))
    found = indexes(tmp_path, packages, {"UV_FIND_LINKS": "/a,/b", "UV_INDEX": "https://uv"}, pip)
    assert found.find_links == (str(tmp_path / "wheels"), "/a", "/b", "/pip")
    assert found.extra == ("https://fleet", "https://uv", "https://pip")
    assert found.local == ("file:///opt/cache/simple",)
    assert found.places() == (str(tmp_path / "wheels"), "/a", "/b", "/pip", "file:///opt/cache/simple")


def test_uv_is_told_by_its_environment_and_an_engines_own_index_comes_first(tmp_path: Path) -> None:
    found = indexes(
        tmp_path, Packages(), {"UV_DEFAULT_INDEX": "https://u:secret@main"}, PipSettings(extra_index_urls=("https://extra",))
    )
    environ = found.environment({"PATH": "/bin", "UV_EXTRA_INDEX_URL": "https://old"}, first="https://nightly")
    assert environ["UV_DEFAULT_INDEX"] == "https://u:secret@main"
    assert environ["UV_INDEX"] == "https://nightly https://extra"
    assert environ["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert "UV_EXTRA_INDEX_URL" not in environ
    assert environ["PATH"] == "/bin"


def test_pips_certificate_proxy_and_trusted_hosts_are_passed_on_unless_set(tmp_path: Path) -> None:
    pip = PipSettings(cert="/c.pem", proxy="http://proxy:1", trusted_hosts=("a", "b:1"))
    environ = indexes(tmp_path, Packages(), {"SSL_CERT_FILE": "/mine.pem"}, pip).environment({"SSL_CERT_FILE": "/mine.pem"})
    assert environ == {
        "SSL_CERT_FILE": "/mine.pem",
        "ALL_PROXY": "http://proxy:1",
        "UV_INSECURE_HOST": "a b:1",
    }


def test_pips_no_index_holds_unless_the_fleet_names_one(tmp_path: Path) -> None:
    pip = PipSettings(no_index=True)
    assert indexes(tmp_path, Packages(), {}, pip).no_index
    assert not indexes(tmp_path, Packages(index_url="https://fleet"), {}, pip).no_index


@pytest.mark.parametrize(
    ("place", "path"),
    [("/w", "/w"), ("file:///w%20x", "/w x"), ("https://x/simple", None), ("http://x", None), ("rel/w", "rel/w")],
)
def test_folders_and_file_addresses_are_of_this_machine(place: str, path: str | None) -> None:
    assert local_path(place) == (Path(path) if path else None)
