"""The self-signed certificate made at first start.

A server must be able to offer STARTTLS from its first minute
(exchange-behaviour TL-2); the certificate is like Exchange's (TL-7): the
server's names, five years. A certificate put in its place by the administrator
(``tls/certificate.pem`` and ``tls/key.pem``) is used as it is, see ``drivers.certificate_store``.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import ssl
from collections.abc import Collection
from pathlib import Path

from holdfast.drivers.files import write_private
from holdfast.kernel.errors import Unavailable

CERTIFICATE_DAYS = 5 * 365  # exchange-behaviour TL-7
CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "key.pem"
# The pair of last resort, made when no other one can be used.
FALLBACK_FILE = "self-signed.pem"
# The digest of the certificate that we made ourselves, and its names: another one is not ours to replace.
MADE_FOR_FILE = "self-signed-for"


def ensure_certificate(directory: Path, names: tuple[str, ...], known: Collection[bytes] = ()) -> bool:
    """Make a key and a self-signed certificate for ``names`` unless there is one.

    One that we made for other names is replaced; what an administrator put
    there is not. Roles that start at the same moment take turns.

    Args:
        directory: where they lie.
        names: DNS names.
        known: the certificates (DER) by which other servers know this one: one that is replaced stays beside
            the new one, since they would take us for a stranger.

    Returns:
        Whether a new one was made.

    Raises:
        Unavailable: the directory cannot be written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _fits(directory, names):
                return False
            _make_default(directory, names, known)
            return True
    except OSError as error:
        raise _cannot_be_made(directory, error) from None


def ensure_fallback(directory: Path, names: tuple[str, ...]) -> None:
    """Make a self-signed pair beside one that cannot be used, key and certificate in one file.

    Raises:
        Unavailable: the directory cannot be written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            certificate, key = _make_certificate(names, None)
            write_private(directory / FALLBACK_FILE, key + certificate)
    except OSError as error:
        raise _cannot_be_made(directory, error) from None


def _cannot_be_made(directory: Path, error: OSError) -> Unavailable:
    return Unavailable(f"the certificate in {directory} cannot be made: {error.strerror or error}")


def _fits(directory: Path, names: tuple[str, ...]) -> bool:
    """Whether what is there may stay: both files, and ours only for the names that are ours now."""
    if not ((directory / CERTIFICATE_FILE).exists() and (directory / KEY_FILE).exists()):
        return False
    try:
        digest, *made_for = (directory / MADE_FOR_FILE).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return True
    return digest != _digest(directory / CERTIFICATE_FILE) or made_for == list(names)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _make_default(directory: Path, names: tuple[str, ...], known: Collection[bytes]) -> None:
    """Make the default pair; one of ours that gets other names keeps its key, and so its TLSA records."""
    certificate_path, key_path = directory / CERTIFICATE_FILE, directory / KEY_FILE
    old_key: bytes | None = None
    if certificate_path.exists() and key_path.exists():
        old_key = key_path.read_bytes()
        _keep_known(directory, certificate_path.read_bytes(), old_key, known)
    else:
        # A pair is whole or absent: without its certificate a key is made anew.
        certificate_path.unlink(missing_ok=True)
    certificate, key = _make_certificate(names, old_key)
    if key != old_key:
        write_private(key_path, key)
    write_private(certificate_path, certificate)
    write_private(directory / MADE_FOR_FILE, "\n".join((_digest(certificate_path), *names)).encode())


def _keep_known(directory: Path, certificate: bytes, key: bytes, known: Collection[bytes]) -> None:
    """Keep a pair that is about to be replaced, if other servers know us by it."""
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.decode("ascii"))
    except ValueError:
        return
    if der in known:
        name = f"former-{hashlib.sha256(der).hexdigest()[:8]}"
        write_private(directory / f"{name}.key.pem", key)
        write_private(directory / f"{name}.pem", certificate)


def _make_certificate(names: tuple[str, ...], key_pem: bytes | None) -> tuple[bytes, bytes]:
    """Make a self-signed certificate, and a key unless there is one: both as PEM.

    The key is of P-256, where Exchange takes 2048 bits of RSA: as strong, and quicker by far.
    The common name is the server's short name, as Exchange has it (exchange-behaviour TL-7).
    """
    # Imported here: it takes longer than the rest of a role's start together.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    if key_pem is not None:
        with contextlib.suppress(ValueError, TypeError):
            old = serialization.load_pem_private_key(key_pem, None)
            if isinstance(old, ec.EllipticCurvePrivateKey):
                key = old
            else:
                key_pem = None
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0].partition(".")[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour back, so that a peer whose clock is behind takes it too.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), pem
