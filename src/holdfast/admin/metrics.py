"""The metrics of all roles of this server as one Prometheus page.

Every role gives its own text; the samples get a ``role`` label, so that the
families that all of them have (memory, garbage collection) do not collide.

Source: Prometheus text exposition format 0.0.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

REQUEST_BYTES_MAX = 8192
REQUEST_TIMEOUT_S = 5.0


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def merge_metrics(own: list[Metric], texts: list[tuple[str, bytes]]) -> bytes:
    """Put the texts of roles together; one that is no metrics text is left out.

    Args:
        own: families of management itself.
        texts: role and Prometheus text; a role may be there several times (workers).
    """
    families: dict[str, Metric] = {each.name: each for each in own}
    seen: dict[str, int] = {}
    for role, text in texts:
        seen[role] = seen.get(role, 0) + 1
        label = role if seen[role] == 1 else f"{role}-{seen[role]}"
        for family in _read(text):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merged.samples.append(sample._replace(labels={"role": label, **sample.labels}))
    return generate_latest(_Families(families.values()))


def _read(text: bytes) -> list[Metric]:
    try:
        return list(text_string_to_metric_families(text.decode("utf-8")))
    except (ValueError, KeyError, IndexError):  # whatever its parser stumbles over
        return []


def own_metrics(revision: int, roles: dict[str, bool], role_revisions: dict[str, int]) -> list[Metric]:
    """What management knows itself.

    Args:
        revision: of the organisation.
        roles: each role that should be here, and whether it is.
        role_revisions: the revision that each role works with.
    """
    up = GaugeMetricFamily("holdfast_role_up", "Whether the role is connected to management", labels=["role"])
    for role, is_up in sorted(roles.items()):
        up.add_metric([role], 1.0 if is_up else 0.0)
    applied = GaugeMetricFamily(
        "holdfast_role_revision", "Revision of the organisation that the role works with", labels=["role"]
    )
    for role, role_revision in sorted(role_revisions.items()):
        applied.add_metric([role], float(role_revision))
    current = GaugeMetricFamily(
        "holdfast_organisation_revision", "Revision of the organisation", value=float(revision)
    )
    return [current, up, applied]


class MetricsServer:
    """Answers ``GET /metrics`` over HTTP; make one protocol per connection."""

    def __init__(self, page: Callable[[], Awaitable[bytes]]) -> None:
        """Serve what ``page`` gives on each scrape."""
        self._page = page

    def protocol(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=REQUEST_BYTES_MAX), self._serve)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_TIMEOUT_S)
            writer.write(await self._response(head))
            await asyncio.wait_for(writer.drain(), REQUEST_TIMEOUT_S)
        except asyncio.LimitOverrunError:
            writer.write(_http("431 Request Header Fields Too Large", b"the request is too large\n"))
        except (OSError, EOFError, TimeoutError):
            pass  # the asker went away, or took too long; there is nobody to tell
        finally:
            writer.close()

    async def _response(self, head: bytes) -> bytes:
        parts = head.split(b"\r\n", 1)[0].split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/"):
            return _http("400 Bad Request", b"not an HTTP request\n")
        if parts[0] not in (b"GET", b"HEAD"):
            return _http("405 Method Not Allowed", b"only GET is answered\n")
        if parts[1].split(b"?", 1)[0] != b"/metrics":
            return _http("404 Not Found", b"the metrics are at /metrics\n")
        body = await self._page()
        return _http("200 OK", body, content_type=CONTENT_TYPE_LATEST, with_body=parts[0] == b"GET")


def _http(
    status: str, body: bytes, *, content_type: str = "text/plain; charset=utf-8", with_body: bool = True
) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (body if with_body else b"")
