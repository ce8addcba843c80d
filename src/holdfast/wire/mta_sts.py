"""Read what a domain publishes for MTA-STS: its DNS record and its policy file.

Source: RFC 8461 sections 3.1 and 3.2.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal

POLICY_BYTES_MAX = 64 << 10  # RFC 8461 section 3.3
MX_COUNT_MAX = 200
MAX_AGE_S_MAX = 31_557_600  # RFC 8461 section 3.2: about a year

_VERSION = "STSv1"
_RECORD_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_FIELD = re.compile(r"([a-z0-9][a-z0-9_.-]{0,31})=([\x21-\x3a\x3c\x3e-\x7e]+)", re.IGNORECASE)
# With underscores, which no host has by the letter and some have: a policy of which one name is odd must
# not count as none.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_MX = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\.?")


class StsMode(enum.Enum):
    """What a policy asks for (RFC 8461 section 5)."""

    ENFORCE = "enforce"  # no mail but to hosts that it names, with valid certificates
    TESTING = "testing"  # the same is looked at and reported, and mail goes out
    NONE = "none"  # the domain has given MTA-STS up


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A policy file.

    Attributes:
        mx: names of hosts in lower case; a leading ``*.`` stands for one label.
        max_age_s: how long it holds, from when it was fetched.
        text: the file's lines, as reports show them.
    """

    mode: StsMode
    mx: tuple[str, ...]
    max_age_s: int
    text: tuple[str, ...] = ()

    def names(self, host: str) -> bool:
        """Whether a host may take mail (RFC 8461 section 4.1)."""
        host = host.lower().removesuffix(".")
        _, dot, below = host.partition(".")
        return host in self.mx or bool(dot and f"*.{below}" in self.mx)


def parse_record(records: Iterable[str]) -> str | None:
    """Find the id in the TXT records of ``_mta-sts.DOMAIN``.

    Returns:
        The id; None where the domain has no MTA-STS: no record of this version, several, or a malformed one.

    Source: RFC 8461 section 3.1.
    """
    ours = [each for each in records if re.match(r"v=STSv1\s*(;|$)", each)]
    if len(ours) != 1:
        return None
    found = ""
    for number, part in enumerate(ours[0].rstrip("; \t").split(";")):
        field = _FIELD.fullmatch(part.strip(" \t"))
        if field is None:
            return None
        if number and field[1] == "id" and not found:
            found = field[2]
    return found if _RECORD_ID.fullmatch(found) else None


def parse_policy(data: bytes) -> StsPolicy:
    """Read a policy file.

    Of a field that stands twice the first holds, except ``mx``; unknown fields are passed over.

    Raises:
        Refusal: it is none; the text says why.

    Source: RFC 8461 section 3.2.
    """
    if len(data) > POLICY_BYTES_MAX:
        raise Refusal(f"the policy is longer than {POLICY_BYTES_MAX} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("the policy is not UTF-8") from None
    fields: dict[str, str] = {}
    mx: dict[str, None] = {}
    lines = [line.strip(" \t") for line in text.replace("\r\n", "\n").split("\n")]
    for line in lines:
        key, colon, value = line.partition(":")
        key, value = key.strip(" \t"), value.strip(" \t")
        if not line:
            continue
        if not colon or not key:
            raise Refusal(f'the policy has a line without a field: "{_shown(line)}"')
        if key == "mx":
            mx[_mx(value)] = None
        else:
            fields.setdefault(key, value)
    if len(mx) > MX_COUNT_MAX:
        raise Refusal(f"the policy names {len(mx)} hosts; at most {MX_COUNT_MAX} are read")
    return _policy(fields, tuple(mx), tuple(line for line in lines if line))


def _policy(fields: dict[str, str], mx: tuple[str, ...], lines: tuple[str, ...]) -> StsPolicy:
    if fields.get("version") != _VERSION:
        raise Refusal(f'the policy has version "{_shown(fields.get("version", ""))}", not {_VERSION}')
    try:
        mode = StsMode(fields.get("mode", ""))
    except ValueError:
        shown = _shown(fields.get("mode", ""))
        raise Refusal(f'the policy has mode "{shown}", not enforce, testing or none') from None
    age = fields.get("max_age", "")
    if not (age.isascii() and age.isdigit() and len(age) <= 10):
        raise Refusal(f'the policy has max_age "{_shown(age)}", not a number of seconds')
    if not mx and mode is not StsMode.NONE:
        raise Refusal("the policy names no mx")
    return StsPolicy(mode, mx, min(int(age), MAX_AGE_S_MAX), lines)


def _mx(value: str) -> str:
    name = value.lower()
    if len(name) > 255 or not _MX.fullmatch(name):
        raise Refusal(f'the policy names mx "{_shown(value)}", which is no host')
    return name.removesuffix(".")


def _shown(text: str) -> str:
    """A value of somebody else, for a message of ours."""
    return "".join(each if each.isprintable() else "?" for each in text[:60])
