"""This host's own certificate, with which its gateway meets those of the fleet's other hosts, and theirs as it knows them.

Each host makes its own; only the public part travels. In both files a line "# host NAME" stands before each certificate.
Used by the run (make), the probe (read) and the step `gateway.peers`.
"""

from __future__ import annotations

import os
import re
import tempfile
from typing import Any, Dict, List, Optional

from deployer.agent import files, paths, wire
from deployer.agent.context import StepFailed, last_words
from deployer.agent.system import System, TooLong

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]{1,16384}-----END CERTIFICATE-----\n")
_BLOCK = re.compile(r"# host ([a-z0-9-]{1,40})\n(" + CERTIFICATE.pattern + ")")
DAYS = 36500  # it is not its age that makes it trusted, but that it was fetched from that host


def own_certificate(system: System, fleet: wire.Fleet, host: Optional[str] = None) -> Optional[str]:
    """The public part; None when there is none, or only one for another name of this host."""
    found = blocks(files.read(system, paths.peer(fleet)))
    if host is not None:
        return found.get(host)
    return next(iter(found.values()), None)


def known(system: System, fleet: wire.Fleet) -> Dict[str, str]:
    """Host → certificate, as the gateway here trusts them."""
    return blocks(files.read(system, paths.peers(fleet)))


def blocks(data: Optional[bytes]) -> Dict[str, str]:
    return dict(_BLOCK.findall((data or b"").decode("ascii", "replace")))


def facts(system: System, fleet: wire.Fleet) -> Dict[str, Any]:
    """For the probe: {"certificate", "known": {host: digest}}."""
    try:
        there = {name: wire.certificate_digest(text) for name, text in known(system, fleet).items()}
        return {"certificate": own_certificate(system, fleet), "known": there}
    except OSError:
        return {"certificate": None, "known": {}}


def make(system: System, fleet: wire.Fleet, host: str) -> str:
    """The certificate of this host under this name, made when it is missing. Raises StepFailed."""
    there = own_certificate(system, fleet, host)
    if there is not None:
        return there
    # only root can look into the directory, and nothing but openssl's own file is in it
    with tempfile.TemporaryDirectory(prefix="deployer-") as folder:
        key, certificate = os.path.join(folder, "key"), os.path.join(folder, "certificate")
        argv = ["openssl", "req", "-x509", "-nodes", "-days", str(DAYS), "-subj", "/CN=" + host]
        argv += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", "subjectAltName=DNS:" + host]
        try:
            done = system.run([*argv, "-keyout", key, "-out", certificate], timeout=60)
        except OSError as error:
            hint = "apt-get install openssl"
            raise StepFailed("openssl cannot be started: %s" % (error.strerror or error), hint=hint) from None
        except TooLong as error:
            raise StepFailed("openssl made no certificate: %s" % error, log=error.log) from None
        if done.rc != 0:
            raise StepFailed("openssl made no certificate: %s" % last_words(done), log=done.lines)
        with open(key) as one, open(certificate) as other:
            secret, public = one.read(), other.read()
    files.make_directories(system, paths.state(fleet))
    files.write(system, paths.peer(fleet), ("# host %s\n%s%s" % (host, public, secret)).encode("ascii"), 0o600)
    return public


def merged(there: Dict[str, str], brought: Dict[str, Any], wanted: List[str]) -> str:
    """The file's text: of each wanted host what was brought, else what was there. Raises StepFailed."""
    found = {}
    for name in wanted:
        text = brought.get(name) or there.get(name)
        if text is None:
            continue  # it has none yet: its run will bring it
        if not CERTIFICATE.fullmatch(str(text)):
            raise StepFailed("what %s calls its certificate is none" % name)
        found[name] = str(text)
    return "".join("# host %s\n%s" % (name, found[name]) for name in sorted(found))
