"""Have DNS zones changed: one signed message per update, to the servers in turn, answered in bounded time.

The codec and the signatures are dnspython's. UDP, or TCP where the answer does not fit. The secret of the key
is read when it is needed and kept for a few seconds, as updates come in bursts.

Source: RFC 2136 sections 3 and 4; RFC 8945 section 5.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Callable
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update

from holdfast.directory.dhcp import DhcpServer, KeyAlgorithm
from holdfast.drivers.resolver import DnsServer, parse_server
from holdfast.drivers.role_link import DIRECTORY_FILE
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.wire.dns_update import DnsUpdate, Do, If, UpdateAnswer, UpdateOutcome

ANSWER_S = 3.0  # how long one server may take
SECRET_KEPT_S = 5.0
_NO_ANSWER = 1460  # as Windows numbers it: ERROR_TIMEOUT
_DNS_ERRORS = 9000
_OUTCOMES = {
    dns.rcode.NOERROR: UpdateOutcome.DONE,
    dns.rcode.YXDOMAIN: UpdateOutcome.NAME_USED,
    dns.rcode.NXDOMAIN: UpdateOutcome.NO_NAME,
    dns.rcode.YXRRSET: UpdateOutcome.RECORD_THERE,
    dns.rcode.NXRRSET: UpdateOutcome.OTHER_RECORD,
}
_ALGORITHMS = {each: dns.name.from_text(each.value) for each in KeyAlgorithm}


def read_tsig_secret(home: Path, key: str) -> str | None:
    """The secret of a TSIG key as it was set, in base64; None when none was.

    Args:
        home: the state directory.
        key: its name, whatever the case of its letters.

    Raises:
        Unavailable: the directory database cannot be read now.
        Refusal: it is of a newer version.
    """
    store = DirectoryStore.open(home / DIRECTORY_FILE, writable=False)
    try:
        return store.tsig_secret(key)
    finally:
        store.close()


class DnsUpdater:
    """Sends the updates of one server."""

    def __init__(
        self,
        answered: Callable[[int, UpdateAnswer], None],
        secret: Callable[[str], str | None],
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        """Send nothing yet.

        Args:
            answered: is told what came of each update.
            secret: the secret of a key, by its name.
            answer_s: how long one server may take.
        """
        self._answered = answered
        self._secret = secret
        self._answer_s = answer_s
        self._servers: tuple[DnsServer, ...] = ()
        self._key, self._algorithm = "", KeyAlgorithm.HMAC_SHA256
        self._kept: tuple[float, str, str | None] = (float("-inf"), "", None)
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, declared: DhcpServer) -> None:
        """Go by other settings."""
        found = [parse_server(each, validates=False) for each in declared.dns_servers]
        self._servers = tuple(each for each in found if each is not None)
        self._key, self._algorithm = declared.dns_key, declared.dns_key_algorithm
        self._kept = (float("-inf"), "", None)

    def send(self, update: DnsUpdate) -> None:
        """Have a zone changed; never raises."""
        task = asyncio.get_running_loop().create_task(self._do(update))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Stop; updates that are under way are not reported."""
        for task in self._tasks:
            task.cancel()

    async def _do(self, update: DnsUpdate) -> None:
        self._answered(update.number, await self._ask(update))

    async def _ask(self, update: DnsUpdate) -> UpdateAnswer:
        """Ask one server after the other until one did it, or says why the zone is not as it should be."""
        try:
            message = encode_update(update)
            if self._key:
                self._sign(message)
        except (Refusal, Unavailable) as error:
            return UpdateAnswer(UpdateOutcome.FAILED, error.text, _DNS_ERRORS + dns.rcode.BADKEY)
        answer = UpdateAnswer(UpdateOutcome.FAILED, "there is no server for updates", _NO_ANSWER)
        for server in self._servers:
            answer = await self._ask_one(message, server)
            if answer.outcome is not UpdateOutcome.FAILED:
                break
        return answer

    def _sign(self, message: dns.message.Message) -> None:
        kept_at, key, secret = self._kept
        if key != self._key or time.monotonic() - kept_at > SECRET_KEPT_S:
            secret = self._secret(self._key)
            self._kept = (time.monotonic(), self._key, secret)
        if secret is None:
            raise Refusal(
                f'the TSIG key "{self._key}" has no secret here; set it with: holdfast dhcp dns set-secret '
                f"{self._key}"
            )
        try:
            data = base64.b64decode(secret, validate=True)
        except binascii.Error:
            raise Refusal(f'the secret of the TSIG key "{self._key}" is no base64') from None
        name = dns.name.from_text(self._key)
        message.use_tsig(dns.tsig.Key(name, data, _ALGORITHMS[self._algorithm]))

    async def _ask_one(self, message: dns.message.Message, server: DnsServer) -> UpdateAnswer:
        def failed(what: str, code: int) -> UpdateAnswer:
            return UpdateAnswer(UpdateOutcome.FAILED, f"{server}: {what}", code)

        signed = f', signed with key "{self._key}"' if self._key else ""
        try:
            answer, _ = await dns.asyncquery.udp_with_fallback(
                message, server.address, timeout=self._answer_s, port=server.port
            )
        except dns.exception.Timeout:
            return failed(f"no answer within {self._answer_s:g} s", _NO_ANSWER)
        except dns.tsig.PeerError as error:
            word = _TSIG_ERRORS.get(type(error), "BADSIG")
            code = _DNS_ERRORS + dns.rcode.from_text(word)
            return failed(f'the key "{self._key}" ({self._algorithm.value}) is refused: {word}', code)
        except dns.exception.DNSException as error:
            return failed(f"an answer that cannot be trusted or read{signed}: {error}", _DNS_ERRORS + 2)
        except OSError as error:
            return failed(error.strerror or str(error), _NO_ANSWER)
        except Exception as error:  # noqa: BLE001 - a codec must not take the service down, whatever a server says
            return failed(f"an answer that cannot be read: {type(error).__name__}", _DNS_ERRORS + 2)
        rcode = answer.rcode()
        outcome = _OUTCOMES.get(rcode)
        if outcome is not None:
            return UpdateAnswer(outcome)
        return failed(f"answers {dns.rcode.to_text(rcode)}{signed}", _DNS_ERRORS + rcode)


_TSIG_ERRORS: dict[type, str] = {
    dns.tsig.PeerBadKey: "BADKEY",
    dns.tsig.PeerBadSignature: "BADSIG",
    dns.tsig.PeerBadTime: "BADTIME",
    dns.tsig.PeerBadTruncation: "BADTRUNC",
}


def encode_update(update: DnsUpdate) -> dns.update.UpdateMessage:
    """Make the message of an update.

    Raises:
        Refusal: a name in it is none.
    """
    try:
        message = dns.update.UpdateMessage(dns.name.from_text(update.zone))
        for condition in update.conditions:
            name = dns.name.from_text(condition.name)
            match condition.kind:
                case If.NAME_UNUSED:
                    message.absent(name)
                case If.NAME_USED:
                    message.present(name)
                case If.NO_RECORD:
                    message.absent(name, condition.record_type)
                case If.RECORD_IS:
                    message.present(name, _data(condition.record_type, condition.data))
        for change in update.changes:
            name = dns.name.from_text(change.name)
            match change.kind:
                case Do.ADD:
                    message.add(name, change.ttl_s, _data(change.record_type, change.data))
                case Do.DELETE_RECORD:
                    message.delete(name, _data(change.record_type, change.data))
                case Do.DELETE_ALL:
                    message.delete(name, change.record_type)
    except dns.exception.DNSException as error:
        raise Refusal(f'"{update.zone}" or a name below it is no name of DNS: {error}') from None
    return message


def _data(record_type: str, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(record_type), text)
