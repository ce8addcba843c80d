"""Read the certificates by which servers of ours know each other, without looking into them.

Trust among servers of ours is direct (exchange-behaviour TL-3): a certificate is
known byte for byte, whoever signed it. So the directory needs no more of it than
that it is one: PEM around the DER of a single sequence. Several stand one after
the other in one text, so that a server can be known by its old and its next one
at once while it changes them.

Source: RFC 7468 section 5; exchange-behaviour TL-3, TL-4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

from holdfast.directory.kinds import subject_of
from holdfast.directory.model import Organisation, Server
from holdfast.kernel.errors import Problem, Refusal

CERTIFICATE_COUNT_MAX = 8
CERTIFICATE_BYTES_MAX = 16_384
_LINE_CHARACTERS = 64  # RFC 7468 section 2
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def read_certificates(text: str) -> tuple[bytes, ...]:
    """The certificates of a PEM text as DER, in their order; none when the text is empty.

    Args:
        text: PEM; words between the certificates are passed over, as RFC 7468 section 2 allows.

    Raises:
        Refusal: it has something else, or more than a server may have.
    """
    found = []
    inside: list[str] | None = None
    for line in text.splitlines():
        line = line.strip()
        if line == _BEGIN and inside is None:
            inside = []
        elif line == _END and inside is not None:
            found.append(_der("".join(inside)))
            inside = None
        elif "PRIVATE KEY" in line:
            raise Refusal("it has a private key, which stays on its server; give the certificate alone")
        elif line.startswith("-----"):
            raise Refusal(f'it has "{line[:60]}" where a certificate should begin or end')
        elif inside is not None:
            inside.append(line)
    if inside is not None:
        raise Refusal(f'it ends before "{_END}"')
    if text.strip() and not found:
        raise Refusal(f'it has no "{_BEGIN}"')
    if len(found) > CERTIFICATE_COUNT_MAX:
        raise Refusal(f"it has {len(found)} certificates, more than {CERTIFICATE_COUNT_MAX}")
    return tuple(found)


def write_certificates(certificates: tuple[bytes, ...]) -> str:
    """Certificates as PEM text, each once."""
    return "".join(_pem(each) for each in dict.fromkeys(certificates))


def sha256_of(certificate: bytes) -> str:
    """The fingerprint of a certificate, as people compare it."""
    return hashlib.sha256(certificate).hexdigest()


def known_certificates(server: Server) -> tuple[bytes, ...]:
    """The certificates by which a server is known; none where what it has cannot be read."""
    try:
        return read_certificates(server.certificate)
    except Refusal:
        return ()


def servers_by_certificate(organisation: Organisation) -> dict[bytes, str]:
    """The name of the server that each known certificate belongs to."""
    return {each: server.name for server in organisation.servers for each in known_certificates(server)}


def check_server_certificates(organisation: Organisation) -> Iterator[Problem]:
    """Each is a certificate, and no two servers have the same."""
    owners: dict[bytes, Server] = {}
    for server in organisation.servers:
        try:
            certificates = read_certificates(server.certificate)
        except Refusal as refusal:
            yield Problem(
                subject_of(server),
                f"its certificate cannot be read: {refusal.text}",
                f"paste what `holdfast server certificate` prints on {server.name}",
            )
            continue
        for each in certificates:
            first = owners.setdefault(each, server)
            if first is not server:
                yield Problem(
                    subject_of(server),
                    f'is known by the same certificate as server "{first.name}": {sha256_of(each)}',
                    "each server needs a key of its own; take it away from one of them",
                )


def _der(base64_text: str) -> bytes:
    if not _BASE64.fullmatch(base64_text):
        raise Refusal("it has characters that are not base64")
    try:
        der = base64.b64decode(base64_text, validate=True)
    except binascii.Error:
        raise Refusal("its base64 is cut off") from None
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise Refusal(f"it has a certificate of more than {CERTIFICATE_BYTES_MAX} bytes")
    if not _is_one_sequence(der):
        raise Refusal("what is between BEGIN and END is not a certificate")
    return der


def _is_one_sequence(der: bytes) -> bool:
    """Whether it is one sequence of DER from the first to the last byte (X.690 section 8.1)."""
    if len(der) < 2 or der[0] != 0x30:
        return False
    length = der[1]
    if length < 0x80:
        return len(der) == 2 + length
    count = length & 0x7F
    return 1 <= count <= 4 and len(der) == 2 + count + int.from_bytes(der[2 : 2 + count], "big")


def _pem(der: bytes) -> str:
    text = base64.b64encode(der).decode("ascii")
    lines = [text[start : start + _LINE_CHARACTERS] for start in range(0, len(text), _LINE_CHARACTERS)]
    return "\n".join((_BEGIN, *lines, _END, ""))
