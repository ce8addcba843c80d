"""Mail addresses: reading, comparing, and the key under which one is looked up.

Source: RFC 5321 sections 4.1.2 and 4.5.3.1; RFC 6531 for addresses outside ASCII.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

import idna

from holdfast.kernel.errors import Refusal

LOCAL_PART_BYTES_MAX = 64  # RFC 5321 section 4.5.3.1.1
DOMAIN_BYTES_MAX = 255  # RFC 5321 section 4.5.3.1.2
LABEL_BYTES_MAX = 63  # RFC 1035 section 2.3.4

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-"
_DOT_STRING = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*")
_QUOTED_STRING = re.compile(r'"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"')
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?")
_QUOTED_PAIR = re.compile(r"\\(.)")


class Address(NamedTuple):
    """A mail address whose syntax was checked.

    A plain tuple: one is made per RCPT on the measured receive path.

    Attributes:
        local_part: as the peer wrote it, quotes included.
        domain: in lower case; a domain outside ASCII in its ``xn--`` form;
            an address literal with its brackets.
    """

    local_part: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}"

    @property
    def key(self) -> str:
        """The form under which our own mailboxes are looked up: no quotes that are not needed, lower case."""
        return f"{self._plain_local_part().casefold()}@{self.domain}"

    @property
    def exact_key(self) -> str:
        """The same with its case, which means something to its own domain alone (RFC 5321 section 2.4)."""
        return f"{self._plain_local_part()}@{self.domain}"

    def _plain_local_part(self) -> str:
        if self.local_part.startswith('"'):
            return _QUOTED_PAIR.sub(r"\1", self.local_part[1:-1])
        return self.local_part


@lru_cache(maxsize=4096)  # our own recipients come again and again, each 6 µs; what is refused is not kept
def parse_address(text: str) -> Address:
    """Read ``local-part@domain``.

    Raises:
        Refusal: 501 5.1.3, with what is wrong. Callers that read a sender
            change the status to 5.1.7.

    Source: RFC 5321 section 4.1.2.
    """
    local_part, at, domain = text.rpartition("@")
    if not at or not local_part or not domain:
        raise Refusal("address needs a local part, an @ and a domain", code=501, status="5.1.3")
    if len(local_part.encode("utf-8", "surrogatepass")) > LOCAL_PART_BYTES_MAX:
        raise Refusal(f"local part is longer than {LOCAL_PART_BYTES_MAX} bytes", code=501, status="5.1.3")
    if not (_DOT_STRING.fullmatch(local_part) or _QUOTED_STRING.fullmatch(local_part)):
        raise Refusal("local part is malformed", code=501, status="5.1.3")
    return Address(local_part, parse_domain(domain))


@lru_cache(maxsize=4096)  # most mail names few domains, each 5 µs; what is refused is not kept
def parse_domain(text: str) -> str:
    """Read a domain or an address literal and return its comparable form.

    Raises:
        Refusal: 501 5.1.2 when the domain is too long or malformed.

    Source: RFC 5321 sections 4.1.2 and 4.1.3; RFC 5890 for ``xn--`` labels.
    """
    if text.startswith("["):
        return _parse_address_literal(text)
    domain = text.lower()
    if len(domain.encode("utf-8", "surrogatepass")) > DOMAIN_BYTES_MAX:
        raise Refusal(f"domain is longer than {DOMAIN_BYTES_MAX} bytes", code=501, status="5.1.2")
    if not domain.isascii() or "xn--" in domain:
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise Refusal("domain is not a valid internationalised name", code=501, status="5.1.2") from None
    for label in domain.split("."):
        if len(label) > LABEL_BYTES_MAX or not _LABEL.fullmatch(label):
            raise Refusal("domain is malformed", code=501, status="5.1.2")
    return domain


def _parse_address_literal(text: str) -> str:
    literal = text[1:-1]
    try:
        if not text.endswith("]"):
            raise ValueError
        if literal[:5].lower() == "ipv6:":
            return f"[IPv6:{ipaddress.IPv6Address(literal[5:])}]"
        return f"[{ipaddress.IPv4Address(literal)}]"
    except ValueError:
        raise Refusal("address literal is malformed", code=501, status="5.1.2") from None
