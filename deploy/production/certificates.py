"""
A certificate authority of one's own, and server certificates of it, for the broker and for a mail relay.

Whoever has certificates of a real authority uses those: what is made here serves where none can be had, on a private
network, in a container, on this machine.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cli import private

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Every server certificate is also good for these: health checks and operators on the same machine."""
AUTHORITY_LASTS = timedelta(days=3653)
SERVER_LASTS = timedelta(days=825)
RENEW_BEFORE = timedelta(days=30)
"""A certificate that ends sooner is made anew when the configuration is written."""
PUBLIC = 0o644
"""The mode of a certificate: a server shows its own to whoever connects, and every client is given the authority's."""
_CLOCKS_DIFFER = timedelta(hours=1)

_Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Certificates:
    """The four files (PEM) under one directory: certificates for everybody, the keys for their owner alone."""

    directory: Path

    @property
    def authority(self) -> Path:
        """What every client is given."""
        return self.directory / "ca.pem"

    @property
    def authority_key(self) -> Path:
        """Whoever has it can pass for the broker: nobody needs it but who makes certificates."""
        return self.directory / "ca-key.pem"

    @property
    def server(self) -> Path:
        """The server's certificate."""
        return self.directory / "server.pem"

    @property
    def server_key(self) -> Path:
        """The server's alone."""
        return self.directory / "server-key.pem"


def make_certificates(
    directory: Path, names: Iterable[str], *, renew: bool = False, lasts: timedelta = SERVER_LASTS
) -> Certificates:
    """
    Make what is missing: the authority once, the server certificate when it lacks a name, ends within 30 days, or
    ``renew`` says so. The authority stays, so that clients need nothing new.

    Args:
        directory: where the files are or go; created when absent.
        names: host names and addresses under which clients reach the server; those of loopback are added.
        renew: make the server certificate anew.
        lasts: how long a new server certificate is good for.

    Raises:
        ValueError: a name is no host name, or what is there is no certificate of this authority.
        OSError: a file cannot be read or written.
    """
    files = Certificates(directory)
    private.folder(directory)
    wanted = tuple(dict.fromkeys((*names, *LOOPBACK)))
    if not (files.authority.exists() and files.authority_key.exists()):
        _make_authority(files)
    if renew or not files.server.exists() or not files.server_key.exists() or not _still_good(files, wanted):
        _make_server(files, wanted, lasts)
    return files


def ends(certificate: Path) -> datetime:
    """When a certificate ends, in UTC."""
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def names_of(certificate: Path) -> tuple[str, ...]:
    """The host names and addresses that a certificate is good for."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return tuple(str(name.value) for name in alternatives)


def _still_good(files: Certificates, wanted: tuple[str, ...]) -> bool:
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    server = x509.load_pem_x509_certificate(files.server.read_bytes())
    return (
        server.issuer == authority.subject
        and set(wanted) <= set(names_of(files.server))
        and server.not_valid_after_utc - datetime.now(UTC) > RENEW_BEFORE
    )


def _make_authority(files: Certificates) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own: two authorities must not be taken for one another.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Deelname"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Deelname authority {os.urandom(4).hex()}"),
        ]
    )
    certificate = (
        _unsigned(name, name, key.public_key(), AUTHORITY_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(files.authority_key, key)
    _write_certificate(files.authority, certificate)


def _make_server(files: Certificates, names: tuple[str, ...], lasts: timedelta) -> None:
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    authority_key = serialization.load_pem_private_key(files.authority_key.read_bytes(), None)
    if not isinstance(authority_key, _Key):
        raise ValueError(f"{files.authority_key} is not a key that was made here")
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _unsigned(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]),
            authority.subject,
            key.public_key(),
            min(lasts, authority.not_valid_after_utc - datetime.now(UTC)),
        )
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        # Servers of a cluster are each other's clients.
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _write_key(files.server_key, key)
    _write_certificate(files.server, certificate)


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lasts: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + lasts)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not name.isascii() or not name or any(character in name for character in " /:@,"):
        raise ValueError(f"{name!r} is no host name and no address: give it without scheme and port")
    return x509.DNSName(name)


def _write_key(path: Path, key: _Key) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write(path, pem.decode())


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    private.write(path, certificate.public_bytes(serialization.Encoding.PEM), mode=PUBLIC)
