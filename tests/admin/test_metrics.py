"""The metrics page, and its small HTTP server on a real port."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.admin.metrics import MetricsServer, merge_metrics, own_metrics


def _text(value: float) -> bytes:
    registry = CollectorRegistry()
    Counter("mail_accepted", "Accepted", registry=registry).inc(value)
    Gauge("memory_bytes", "Memory", registry=registry).set(value)
    Histogram("commit_seconds", "Commit", registry=registry).observe(value)
    return generate_latest(registry)


def test_texts_of_roles_become_one_page_with_a_role_label() -> None:
    own = own_metrics(7, {"transport": True, "access": False}, {"transport": 6})
    page = merge_metrics(
        own, [("transport", _text(1)), ("transport", _text(2)), ("access", b"\xff not metrics")]
    )
    samples = {
        (sample.name, sample.labels.get("role")): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }
    assert samples["mail_accepted_total", "transport"] == 1
    assert samples["mail_accepted_total", "transport-2"] == 2
    assert samples["memory_bytes", "transport"] == 1
    assert samples["commit_seconds_count", "transport-2"] == 1
    assert samples["holdfast_role_up", "transport"] == 1
    assert samples["holdfast_role_up", "access"] == 0
    assert samples["holdfast_role_revision", "transport"] == 6
    assert samples["holdfast_organisation_revision", None] == 7
    assert page.count(b"# TYPE memory_bytes gauge") == 1


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"HEAD /metrics?a=b HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"EHLO x\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET /metr", b""),
    ],
)
def test_http(request_bytes: bytes, status: bytes) -> None:
    async def page() -> bytes:
        return b"up 1\n"

    async def scenario() -> bytes:
        running = asyncio.get_running_loop()
        server = await running.create_server(MetricsServer(page).protocol, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(request_bytes)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        server.close()
        return answer

    answer = asyncio.run(scenario())
    assert answer.split(b" ")[1:2] == ([status] if status else [])
    assert answer.endswith(b"up 1\n") == (status == b"200" and request_bytes.startswith(b"GET"))
