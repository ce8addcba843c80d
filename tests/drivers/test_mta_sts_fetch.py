"""MTA-STS policies over HTTPS: a real web server with a certificate of ours."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from certificates.made import DAY, NOW, Issued, make_authority, make_self_signed
from holdfast.drivers.mta_sts_fetch import PolicyFetcher
from holdfast.wire.mta_sts import POLICY_BYTES_MAX

POLICY = b"version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n"
ROOT = make_authority()


def response(body: bytes, status: str = "200 OK", kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Web:
    """A web server that says one thing, and who asks it."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.results: asyncio.Queue[tuple[str, bytes | None, str]] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            await writer.drain()
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def fetch(
    tmp_path: Path,
    answer: bytes,
    own: Issued | None = None,
    addresses: Callable[[str], Awaitable[Sequence[str]]] | None = None,
) -> tuple[bytes | None, str, list[bytes]]:
    """What comes of one fetch."""
    (tmp_path / "trusted").mkdir()
    (tmp_path / "trusted" / "root.pem").write_bytes(ROOT.pem)
    context = (own or ROOT.issue("mta-sts.example.org")).context(tmp_path)

    async def loopback(host: str) -> Sequence[str]:
        assert host == "mta-sts.example.org"
        return ("127.0.0.1",)

    async def main() -> tuple[bytes | None, str, list[bytes]]:
        web = Web(answer)
        server = await asyncio.start_server(web.serve, "127.0.0.1", 0, ssl=context)
        fetcher = PolicyFetcher(
            tmp_path / "trusted",
            lambda *what: web.results.put_nowait(what),
            addresses or loopback,
            port=server.sockets[0].getsockname()[1],
        )
        fetcher.fetch("example.org")
        domain, text, reason = await asyncio.wait_for(web.results.get(), 30)
        assert domain == "example.org"
        fetcher.close()
        server.close()
        return text, reason, web.asked

    return asyncio.run(main())


def test_a_policy_is_fetched(tmp_path: Path) -> None:
    text, reason, asked = fetch(tmp_path, response(POLICY))
    assert (text, reason) == (POLICY, "")
    assert asked[0].startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n")
    assert b"\r\nHost: mta-sts.example.org" in asked[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response(b"", "404 Not Found"), "mta-sts.example.org answered 404"),
        (response(b"", "301 Moved\r\nLocation: https://example.com/"), "mta-sts.example.org answered 301"),
        (response(POLICY, kind="text/html"), "answered with text/html, not text/plain"),
        (response(bytes(POLICY_BYTES_MAX + 1)), "is longer than 65536 bytes"),
        (b"220 mail.example.org ESMTP\r\n", "does not speak HTTP"),
        (response(POLICY)[:-10], "sent less than it announced"),
        (b"", "mta-sts.example.org"),
    ],
)
def test_what_is_no_policy_has_its_reason(tmp_path: Path, answer: bytes, reason: str) -> None:
    text, said, _ = fetch(tmp_path, answer)
    assert text is None
    assert reason in said


@pytest.mark.parametrize(
    "make",
    [
        lambda: ROOT.issue("www.example.org"),
        lambda: ROOT.issue("mta-sts.example.org", not_before=NOW - 3 * DAY, not_after=NOW - DAY),
        lambda: make_self_signed("mta-sts.example.org"),
    ],
    ids=["wrong name", "expired", "self-signed"],
)
def test_the_certificate_must_be_valid(tmp_path: Path, make: Callable[[], Issued]) -> None:
    text, said, asked = fetch(tmp_path, response(POLICY), make())
    assert text is None
    assert "the certificate is not valid" in said
    assert not asked


async def elsewhere(host: str) -> Sequence[str]:
    return ("127.0.0.9", "127.0.0.8")


async def nowhere(host: str) -> Sequence[str]:
    return ()


@pytest.mark.parametrize(
    ("addresses", "reason"), [(elsewhere, "connection refused"), (nowhere, "it has no public address")]
)
def test_nobody_is_there(
    tmp_path: Path, addresses: Callable[[str], Awaitable[Sequence[str]]], reason: str
) -> None:
    text, said, _ = fetch(tmp_path, response(POLICY), addresses=addresses)
    assert text is None
    assert said == f"mta-sts.example.org cannot be reached: {reason}"
