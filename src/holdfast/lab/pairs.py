"""Make the certificate of each server of a lab before it starts, so that all can be told of all at once.

A server that makes its own at first start is known to the others only after an
administrator has carried it over (`holdfast server trust`). A lab has no time for
that: it puts a pair where an administrator would, and the server keeps it.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

DAYS = 5 * 365
CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "key.pem"


def ensure_pair(home: Path, name: str) -> str:
    """The certificate of a server as PEM; it is made, with its key, when there is none.

    Args:
        home: the state directory of the server.
        name: the server's domain name.
    """
    directory = home / "tls"
    certificate_path, key_path = directory / CERTIFICATE_FILE, directory / KEY_FILE
    if not (certificate_path.exists() and key_path.exists()):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        certificate, key = _make(name)
        # The certificate last: a pair is whole or made anew.
        certificate_path.unlink(missing_ok=True)
        for path, data in ((key_path, key), (certificate_path, certificate)):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
    return certificate_path.read_text(encoding="ascii")


def _make(name: str) -> tuple[bytes, bytes]:
    # Imported here: every other verb of the lab does without.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), pem
