"""Reads the certificate that gateways show to clients, so that plan can judge it. Called by worlds.

The library that reads it comes with the SSH library; nobody pays for it who has no `gateway.tls`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from deployer.app.secretvalues import SecretValues
from deployer.spec.models import GatewayTls
from deployer.state.certificate import Certificate

if TYPE_CHECKING:
    from cryptography import x509

BIGGEST = 256 * 1024


def read(root: Path, tls: GatewayTls, secrets: SecretValues) -> Certificate:
    """Never raises for what is wrong with the files: that is a finding of the plan."""
    from cryptography import x509

    path = root / Path(tls.certificate).expanduser()
    try:
        data = path.read_bytes()
    except OSError as error:
        return Certificate(problem=f"cannot be read: {error.strerror or error}")
    if b"PRIVATE KEY" in data:
        return Certificate(problem="holds a private key: write the key in a file of its own, and name it as gateway.tls.key")
    try:
        text = data[:BIGGEST].decode("ascii")
        first, *_ = x509.load_pem_x509_certificates(data)
    except ValueError:
        return Certificate(problem="is no certificate in PEM form")
    key = secrets.reveal(tls.key.id)
    fits: bool | None = None
    if key is not None:
        fits, problem = _belongs(first, key)
        if problem:
            return Certificate(problem=problem)
    return _facts(first, text, fits)


def _facts(certificate: "x509.Certificate", text: str, fits: bool | None) -> Certificate:
    from cryptography.hazmat.primitives import hashes

    return Certificate(
        pem=text if text.endswith("\n") else text + "\n",
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        not_after=certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        fits=fits,
    )


def _names(certificate: "x509.Certificate") -> tuple[str, ...]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    return (*found.get_values_for_type(x509.DNSName), *addresses)


def _belongs(certificate: "x509.Certificate", key: str) -> tuple[bool | None, str | None]:
    """Whether the key is the certificate's, or what is wrong with the key. Nothing of the key is in a message."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return None, "has a key that wants a passphrase: nobody is there to say it when a gateway starts"
    except (ValueError, UnsupportedAlgorithm):
        return None, "has a key that is no private key in PEM form"
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        return private.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form), None
    except (ValueError, UnsupportedAlgorithm):
        return None, "has a public key of a kind that is not supported"
