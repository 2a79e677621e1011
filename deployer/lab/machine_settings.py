"""What lab hosts inherit from this machine, so that they reach the same package indexes: certificates, proxies, mirror.

Called by `lab.image`. A real host has its own; here only what the way out of this machine asks for is copied.
"""

import hashlib
import os
import re
from pathlib import Path

from deployer.lab.shell import ToolFailed, run
from deployer.lab.writing import write

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LOCAL_CERTIFICATES = Path("/usr/local/share/ca-certificates")
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def digest() -> str:
    """Changes whenever something here would make a host look different."""
    h = hashlib.sha256()
    for text in (_bundle(), *_environment().values(), _apt_settings(), mirror("")):
        h.update(text.encode() + b"\0")
    return h.hexdigest()


def mirror(suite: str) -> str:
    """The Debian mirror this machine uses, or the usual one when it is another system."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for file in files:
        text = file.read_text(errors="replace") if file.is_file() else ""
        for found in re.findall(r"^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(https?://\S+/debian)/?(?:\s|$)", text, re.M):
            return str(found)
    return "http://deb.debian.org/debian"


def resolv_conf() -> str:
    """Name servers a host can reach: not the stub on this machine's own loopback."""
    text = Path("/etc/resolv.conf").read_text()
    real = Path("/run/systemd/resolve/resolv.conf")
    if re.search(r"^nameserver\s+127\.", text, re.M) and real.is_file():
        return real.read_text()
    return text


def write_into(root: Path, suite: str, mirror_url: str) -> None:
    """Writes certificates, environment and package sources into the image at `root`."""
    if BUNDLE.is_file():
        write(root / str(BUNDLE).lstrip("/"), _bundle())
    for certificate in LOCAL_CERTIFICATES.glob("*.crt") if LOCAL_CERTIFICATES.is_dir() else ():
        write(root / str(certificate).lstrip("/"), certificate.read_text())
    environment = _environment()
    lines = "".join(f'{name}="{value}"\n' for name, value in environment.items())
    write(root / "etc/environment", lines)
    quoted = " ".join(f'"{name}={value.replace("%", "%%")}"' for name, value in environment.items())
    write(root / "etc/systemd/system.conf.d/lab.conf", f"[Manager]\nDefaultEnvironment={quoted}\n")
    write(root / "etc/sudoers.d/lab-environment", f'Defaults env_keep += "{" ".join(environment)}"\n', mode=0o440)
    security = mirror_url.removesuffix("/debian") + "/debian-security"
    write(
        root / "etc/apt/sources.list",
        f"deb {mirror_url} {suite} main\ndeb {mirror_url} {suite}-updates main\ndeb {security} {suite}-security main\n",
    )
    write(root / "etc/apt/apt.conf.d/80machine", _apt_settings())


def _bundle() -> str:
    return BUNDLE.read_text() if BUNDLE.is_file() else ""


def _environment() -> dict[str, str]:
    found = dict.fromkeys(CERTIFICATE_VARIABLES, str(BUNDLE)) if BUNDLE.is_file() else {}
    found.update({name: os.environ[name] for name in PROXY_VARIABLES if os.environ.get(name)})
    return found


def _apt_settings() -> str:
    """The proxies apt goes through on this machine."""
    try:
        dump = run(["apt-config", "dump", "Acquire"])
    except ToolFailed:
        return ""
    return "".join(line + "\n" for line in dump.splitlines() if re.match(r'Acquire::\w+::Proxy "..*";', line))
