"""Certificates that tests make: an authority, what it issues, and contexts that serve with it."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Issued:
    """A certificate with its key and those above it."""

    def __init__(
        self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, above: Sequence[Issued] = ()
    ) -> None:
        self.certificate = certificate
        self.key = key
        self.above = tuple(above)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def spki(self) -> bytes:
        return self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def chain_pem(self, *, with_root: bool = False) -> bytes:
        """Our own, then those above it; the root only when it is asked for."""
        above = self.above if with_root else self.above[:-1]
        return b"".join(each.pem for each in (self, *above))

    def write(self, directory: Path, name: str = "certificate", *, with_root: bool = False) -> None:
        """Write NAME.pem and its key: key.pem, or NAME.key.pem."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{name}.pem").write_bytes(self.chain_pem(with_root=with_root))
        key_name = "key.pem" if name == "certificate" else f"{name}.key.pem"
        (directory / key_name).write_bytes(self.key_pem)

    def context(self, directory: Path, *, with_root: bool = False) -> ssl.SSLContext:
        """A server's context that shows this certificate."""
        self.write(directory, "served", with_root=with_root)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "served.pem", directory / "served.key.pem")
        return context

    def issue(
        self,
        *names: str,
        not_before: datetime.datetime = NOW - DAY,
        not_after: datetime.datetime = NOW + 30 * DAY,
        authority: bool = False,
        path_length: int | None = None,
        common_name: str = "",
        purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
        critical_unknown: bool = False,
    ) -> Issued:
        """Issue a certificate for names, or another authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name or (names[0] if names else "nobody")))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(
                x509.BasicConstraints(ca=authority, path_length=path_length if authority else None),
                critical=True,
            )
        )
        if names and not authority:
            san = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
            builder = builder.add_extension(san, critical=False)
        if purposes and not authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if critical_unknown:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
            builder = builder.add_extension(unknown, critical=True)
        return Issued(builder.sign(self.key, hashes.SHA256()), key, (self, *self.above))


def make_authority(name: str = "Test Authority") -> Issued:
    """A root that signs for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 10 * DAY)
        .not_valid_after(NOW + 3650 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Issued(certificate, key)


def make_self_signed(*names: str, not_after: datetime.datetime = NOW + 30 * DAY) -> Issued:
    """A certificate that nobody else vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(names[0]))
        .issuer_name(_name(names[0]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(NOW, not_after) - DAY)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Issued(certificate, key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
