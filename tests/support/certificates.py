"""Certificates for tests: an authority, and a certificate with its key that the authority has signed."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_START = datetime.datetime(2020, 1, 1)  # machines without a clock start in the past
_END = datetime.datetime(2100, 1, 1)


@dataclass(frozen=True)
class Signed:
    """A certificate and its key, in PEM."""

    certificate: str
    key: ec.EllipticCurvePrivateKey

    def key_as(self, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
        return self.key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def authority(name: str = "test authority") -> Signed:
    """A certificate that has signed itself, and may sign others."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Signed(_signed(name, key, name, key, x509.BasicConstraints(ca=True, path_length=None)), key)


def signed(by: Signed, name: str, *addresses: str) -> Signed:
    """A certificate for a server at these addresses, and for a client."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(by.certificate.encode()).subject
    common = issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(each)) for each in addresses])
    return Signed(_signed(name, key, str(common), by.key, both, *([names] if addresses else [])), key)


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, by: str, by_key: ec.EllipticCurvePrivateKey, *more: x509.ExtensionType
) -> str:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(by))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_START)
        .not_valid_after(_END)
    )
    for extension in more:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(by_key, SHA256()).public_bytes(Encoding.PEM).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def write(directory: Path) -> None:
    """Files as docker.tls names them, twice: `ca.pem`, `cert.pem`, `key.pem`, and with `2` another way to say it."""
    top = authority()
    server = signed(top, "server", "127.0.0.1")
    for name, text in {
        "ca.pem": top.certificate,
        "ca2.pem": authority("another").certificate,
        "cert.pem": server.certificate,
        "cert2.pem": server.certificate + top.certificate,
        "key.pem": server.key_as(),
        "key2.pem": server.key_as(PrivateFormat.TraditionalOpenSSL),
    }.items():
        (directory / name).write_text(text)
