"""The MTA-STS policies of the domains that we send to: found, kept, fetched again.

A policy is asked for when mail goes out. Its DNS record has an id; another id,
or a policy that grows old, has the file fetched. While that goes on, and when
it fails, the policy that we have holds, until its ``max_age`` is over.

Invariant: a policy that holds is never replaced by nothing. Who can stop our
questions to DNS and the web server of a domain cannot stop its policy.

Source: RFC 8461 sections 3, 5.1 and 10.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal
from holdfast.transport.kept import KeptFile
from holdfast.transport.names import NameCache
from holdfast.transport.tls_policy import TLS_PENDING, TlsPending
from holdfast.wire.dns_answers import Outcome, Question, RecordType
from holdfast.wire.mta_sts import POLICY_BYTES_MAX, StsPolicy, parse_policy, parse_record
from holdfast.wire.tls_report import ResultType

FILES = "sts"
FORMAT = 1
POLICY_COUNT_MAX = 10_000
FETCHES_AT_ONCE_MAX = 20
FAILED_S = 300.0  # RFC 8461 section 3.3: so long a failed fetch is not tried again
FRESH_S = 86_400.0  # RFC 8461 section 3.3: fetched again daily, before an attacker can wait for its end
# RFC 8461 section 3.2 allows a max_age of 0; it would be over before the message that asked could go.
HELD_S_MIN = 60.0

# A name that may be one of a file, too: nothing else has MTA-STS.
_DOMAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_DOMAIN_CHARS_MAX = 240


@dataclass(slots=True)
class _Kept:
    """What we have of one domain.

    Attributes:
        record_id: of the policy.
        policy: None when it could not be had.
        fetched_at: when; counted on the steady clock, which is close enough to the wall's for spans of weeks.
        not_before: no fetch earlier, since one failed.
    """

    record_id: str = ""
    policy: StsPolicy | None = None
    fetched_at: float = 0.0
    not_before: float = 0.0
    failed_id: str = ""

    def holds(self, now: float) -> bool:
        if self.policy is None:
            return False
        return now < self.fetched_at + max(HELD_S_MIN, self.policy.max_age_s)


class StsPolicies:
    """The policies of one transport role.

    ``failed`` is told of every policy that a domain publishes and that could not be had.
    """

    def __init__(
        self, names: NameCache, failed: Callable[[float, str, ResultType, str], None] = lambda *_: None
    ) -> None:
        """Have none yet.

        Args:
            names: answers of DNS.
            failed: is told the instant, the domain, the kind and the reason.
        """
        self._names = names
        self._failed = failed
        # The least recently used first: a dict keeps the order in which it was filled.
        self._kept: dict[str, _Kept] = {}
        self._waiting: dict[str, str] = {}
        self._out: dict[str, str] = {}
        self._files: list[KeptFile] = []

    def find(self, now: float, domain: str) -> StsPolicy | TlsPending | None:
        """Return the policy that holds for a domain; None when there is none."""
        if len(domain) > _DOMAIN_CHARS_MAX or not _DOMAIN.fullmatch(domain):
            return None
        kept = self._kept.get(domain)
        answer = self._names.ask(now, Question(f"_mta-sts.{domain}", RecordType.TXT))
        if answer is None:
            return TLS_PENDING
        holding = kept.policy if kept is not None and kept.holds(now) else None
        if answer.outcome is not Outcome.FOUND:
            return holding
        record_id = parse_record(each for each in answer.records if isinstance(each, str))
        if record_id is None:
            return holding
        if kept is not None:
            self._kept[domain] = self._kept.pop(domain)
        if domain in self._waiting or domain in self._out:
            return holding or TLS_PENDING
        if kept is not None and holding is not None and not _stale(now, kept, record_id):
            return holding
        if kept is not None and now < kept.not_before and record_id == kept.failed_id:
            return holding
        self._waiting[domain] = record_id
        return holding or TLS_PENDING

    def peek(self, now: float, domain: str) -> StsPolicy | None:
        """Return the policy that holds, for explanations; nothing is asked."""
        kept = self._kept.get(domain)
        return kept.policy if kept is not None and kept.holds(now) else None

    def take_fetches(self) -> list[str]:
        """Take the domains whose policies are to be fetched now (``FetchPolicy``)."""
        taken: list[str] = []
        while self._waiting and len(self._out) < FETCHES_AT_ONCE_MAX:
            domain = next(iter(self._waiting))
            self._out[domain] = self._waiting.pop(domain)
            taken.append(domain)
        return taken

    def take_files(self) -> list[KeptFile]:
        """Take what is to be written below the state directory."""
        files, self._files = self._files, []
        return files

    def policy_fetched(self, now: float, domain: str, text: bytes | None, reason: str) -> None:
        """Take the answer to ``FetchPolicy``.

        Args:
            text: the file; None when it could not be had.
            reason: why not, for people.
        """
        record_id = self._out.pop(domain, None)
        if record_id is None:
            return
        policy: StsPolicy | None = None
        result = ResultType.STS_WEBPKI_INVALID if "certificate" in reason else ResultType.STS_FETCH_ERROR
        if text is not None:
            try:
                policy = parse_policy(text)
            except Refusal as refusal:
                result, reason = ResultType.STS_INVALID, refusal.text
        kept = self._kept.pop(domain, None) or _Kept()
        self._kept[domain] = kept
        if policy is None or text is None:
            kept.not_before = now + FAILED_S
            kept.failed_id = record_id
            self._failed(now, domain, result, reason)
        else:
            kept.record_id, kept.policy, kept.fetched_at = record_id, policy, now
            kept.failed_id, kept.not_before = "", 0.0
            self._files.append(KeptFile(_path(domain), _write(domain, kept, text)))
        while len(self._kept) > POLICY_COUNT_MAX:
            gone = next(iter(self._kept))
            del self._kept[gone]
            self._files.append(KeptFile(_path(gone), None))

    def restore(self, now: float, files: dict[str, bytes]) -> None:
        """Take the policies of an earlier life; what is damaged or over is forgotten, its file too."""
        for path, data in files.items():
            read = _read(now, data)
            if read is None or _path(read[0]) != path or not read[1].holds(now):
                self._files.append(KeptFile(path, None))
            elif len(self._kept) < POLICY_COUNT_MAX:
                self._kept[read[0]] = read[1]


def _stale(now: float, kept: _Kept, record_id: str) -> bool:
    """Whether a policy that holds should be fetched again."""
    assert kept.policy is not None
    fresh_s = min(FRESH_S, max(HELD_S_MIN, kept.policy.max_age_s / 2))
    return record_id != kept.record_id or now > kept.fetched_at + fresh_s


def _path(domain: str) -> str:
    return f"{FILES}/{domain}.json"


def _write(domain: str, kept: _Kept, text: bytes) -> bytes:
    return json.dumps(
        {
            "format": FORMAT,
            "domain": domain,
            "id": kept.record_id,
            "fetched_at": kept.fetched_at,
            "policy": text.decode("utf-8"),
        }
    ).encode()


def _read(now: float, data: bytes) -> tuple[str, _Kept] | None:
    """Read a file of ours; None when it is damaged, or of another version."""
    if len(data) > 2 * POLICY_BYTES_MAX:
        return None
    try:
        found = json.loads(data)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            return None
        domain, record_id = str(found["domain"]), str(found["id"])
        fetched_at = min(float(found["fetched_at"]), now)
        policy = parse_policy(str(found["policy"]).encode())
    except (ValueError, KeyError, TypeError, RecursionError, Refusal):
        return None
    if not _DOMAIN.fullmatch(domain):
        return None
    return domain, _Kept(record_id, policy, fetched_at)
