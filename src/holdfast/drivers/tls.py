"""TLS: the self-signed certificate made at first start, and the contexts for listeners.

A server must be able to offer STARTTLS from its first minute
(exchange-behaviour TL-2); the certificate is like Exchange's (TL-7): the
server's names, five years. A certificate put in its place by the administrator
(``tls/certificate.pem`` and ``tls/key.pem``) is used as it is.

Source: RFC 8446, RFC 9325 for the lowest version.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import ssl
from pathlib import Path

from holdfast.drivers.files import write_private
from holdfast.kernel.errors import Unavailable

CERTIFICATE_DAYS = 5 * 365  # exchange-behaviour TL-7
CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "key.pem"
# The digest of the certificate that we made ourselves, and its names: another one is not ours to replace.
MADE_FOR_FILE = "self-signed-for"


def ensure_certificate(directory: Path, names: tuple[str, ...]) -> bool:
    """Make a key and a self-signed certificate for ``names`` unless there is one.

    One that we made for other names is replaced; what an administrator put
    there is not. Roles that start at the same moment take turns.

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
            _make_certificate(directory, names)
            return True
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unavailable(f"the certificate in {directory} cannot be made: {reason}") from None


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


def _make_certificate(directory: Path, names: tuple[str, ...]) -> None:
    # Imported here: it takes longer than the rest of a role's start together.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    certificate_path, key_path = directory / CERTIFICATE_FILE, directory / KEY_FILE
    # A pair is whole or absent: without its certificate a key is made anew.
    certificate_path.unlink(missing_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
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
    write_private(
        key_path,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    write_private(certificate_path, certificate.public_bytes(serialization.Encoding.PEM))
    write_private(directory / MADE_FOR_FILE, "\n".join((_digest(certificate_path), *names)).encode())


def server_context(directory: Path) -> ssl.SSLContext:
    """Make the context that our listeners serve with.

    Raises:
        Unavailable: the files are missing, unreadable or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325 section 3.1.1
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(directory / CERTIFICATE_FILE, directory / KEY_FILE)
    except (OSError, ssl.SSLError) as error:
        raise Unavailable(
            f"the certificate in {directory} cannot be used: {error}; "
            f"put a matching {CERTIFICATE_FILE} and {KEY_FILE} there, or remove both to have new ones made"
        ) from None
    return context
