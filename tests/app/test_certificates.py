"""Certificates as a plan sees them: made with the same library that people's tools are, read from files."""

import datetime
from pathlib import Path

import pytest

from deployer.app import certificates
from deployer.app.secretvalues import SecretValues
from deployer.plan import certificate as judged
from deployer.plan.make import make_plan
from deployer.spec.models import FleetSpec, GatewaySpec, GatewayTls, SecretRef
from deployer.state.certificate import Certificate
from tests.certificates import made, new_key
from tests.plan.worlds import WorldMaker

TLS = GatewayTls(certificate="tls/c.pem", key=SecretRef(file="tls/k.pem"))
TODAY = datetime.datetime.now(datetime.UTC)
NOW = TODAY.strftime("%Y-%m-%dT%H:%M:%SZ")


def read(root: Path) -> Certificate:
    fleet = FleetSpec(id="7f3a9c21", name="acme", gateway=GatewaySpec(tls=TLS))
    return certificates.read(root, TLS, SecretValues(root, fleet))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tls").mkdir()
    return tmp_path


def write(root: Path, certificate: str, key: str | None) -> Certificate:
    (root / "tls/c.pem").write_text(certificate)
    if key is not None:
        (root / "tls/k.pem").write_text(key)
    return read(root)


def said(found: Certificate, now: str = NOW) -> tuple[list[str], list[str]]:
    """What a plan refuses and what it notes."""
    maker = WorldMaker(extra={"gateway": GatewaySpec(tls=TLS)})
    plan = make_plan(maker.world(certificate=found, now=now))
    kinds = {"certificate"}
    return [r.what for r in plan.refusals if r.code in kinds], [n.what for n in plan.notices if n.code in kinds]


def test_a_good_one_is_read_with_its_names_and_says_nothing(root: Path) -> None:
    pem, key = made("gw.acme.lan", days=400)
    found = write(root, pem, key)
    assert (found.problem, found.fits, found.names) == (None, True, ("gw.acme.lan",))
    assert said(found) == ([], [])


def test_one_whose_key_is_not_here_is_no_problem(root: Path) -> None:
    found = write(root, made("gw.acme.lan")[0], None)
    assert (found.problem, found.fits) == (None, None)


def test_the_key_of_another_one_is_refused(root: Path) -> None:
    found = write(root, made("gw.acme.lan", days=400)[0], new_key()[1])
    assert said(found)[0] == ["the certificate tls/c.pem does not belong to gateway.tls.key"]


@pytest.mark.parametrize(
    ("days", "begins", "refused", "noted"),
    [
        (10, -20, "expired at ", None),
        (100, 5, "is not valid before ", None),
        (30, -10, None, "expires in 19 days"),
    ],
)
def test_its_time_is_judged(root: Path, days: int, begins: int, refused: str | None, noted: str | None) -> None:
    start = TODAY + datetime.timedelta(days=begins, minutes=-1)
    found = write(root, *made("gw.acme.lan", days=days, begins=start))
    refusals, notices = said(found)
    assert [text for text in refusals if refused and refused in text] == (refusals if refused else [])
    assert bool(refusals) == bool(refused)
    assert any(noted in text for text in notices) if noted else not (notices and refused is None)


@pytest.mark.parametrize(
    ("certificate", "key", "problem"),
    [
        (None, None, "cannot be read: No such file or directory"),
        ("nothing", None, "is no certificate in PEM form"),
        ("both", None, "holds a private key"),
        ("good", "POISON-no-key", "has a key that is no private key in PEM form"),
        ("good", "encrypted", "has a key that wants a passphrase"),
    ],
)
def test_what_cannot_be_used_is_said_without_a_word_of_the_key(
    root: Path, certificate: str | None, key: str | None, problem: str
) -> None:
    pem, good = made("gw.acme.lan")
    if certificate is not None:
        (root / "tls/c.pem").write_text({"nothing": "x", "both": pem + good, "good": pem}[certificate])
    if key is not None:
        (root / "tls/k.pem").write_text(new_key(b"secret")[1] if key == "encrypted" else key)
    found = read(root)
    assert found.problem is not None
    assert problem in found.problem
    assert "POISON" not in found.problem
    assert len(said(found)[0]) == 1


def test_a_plan_has_the_certificate_and_only_the_name_of_its_key(root: Path) -> None:
    pem, key = made("gw.acme.lan", days=400)
    found = write(root, pem, key)
    maker = WorldMaker(extra={"gateway": GatewaySpec(tls=TLS)})
    secrets = {("h1", "file:tls/k.pem"): "f1"}
    plan = make_plan(maker.world(certificate=found, secrets=secrets, now=NOW))
    gateway = next(c for c in plan.changes if c.name == "gateway")
    assert gateway.after is not None
    files = {f["path"]: f for f in gateway.after.payload["files"]}
    assert files["/etc/deployer/acme/_gateway/tls.pem"]["content"] == pem
    assert files["/etc/deployer/acme/_gateway/tls.pem.key"] == {
        "path": "/etc/deployer/acme/_gateway/tls.pem.key",
        "mode": "0600",
        "owner": "root:root",
        "secret": "file:tls/k.pem",
    }
    assert not any(line in repr(plan) for line in key.splitlines()[1:-1])
    maker.done(plan)
    maker.probes["h1"]["files"]["/etc/deployer/acme/_gateway/tls.pem.key"] = "there"
    assert make_plan(maker.world(certificate=found, secrets=secrets, now=NOW)).changes == ()
    renewed = write(root, *made("gw.acme.lan", days=500))
    [change] = make_plan(maker.world(certificate=renewed, secrets={("h1", "file:tls/k.pem"): "f2"}, now=NOW)).changes
    assert [d.name for d in change.deltas] == ["certificate", "key certificate"]


def test_without_tls_nothing_is_judged() -> None:
    assert list(judged.refusals(WorldMaker().world())) == []
