"""What a real server counts, read as Prometheus reads it."""

from __future__ import annotations

import smtplib
import urllib.request
from collections.abc import Callable
from typing import Protocol

import pytest
from prometheus_client import Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families

from holdfast.drivers import metrics

pytestmark = pytest.mark.process


class Server(Protocol):
    smtp: int
    metrics: int

    def json(self, *words: str) -> dict[str, object]: ...


def sample(port: int, name: str, **labels: str) -> float | None:
    """One value of the page; None where it is not on it: a role that is late is left out."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if each.name == name and labels.items() <= each.labels.items():
                return each.value
    return None


def test_names_follow_the_rules() -> None:
    for value in vars(metrics).values():
        if isinstance(value, Counter | Gauge):
            (family,) = value.describe()
            assert family.name.startswith("holdfast_")
            assert family.documentation.endswith(".")


def test_messages_connections_and_answers_are_counted(
    server: Server, until: Callable[[Callable[[], bool]], None]
) -> None:
    def counted(value: int, name: str, **labels: str) -> None:
        until(lambda: sample(server.metrics, name, **labels) == value)

    with smtplib.SMTP("127.0.0.1", server.smtp) as client:
        client.sendmail("a@outside.example", "alice@example.test", "Subject: one\r\n\r\n")
        counted(1, "holdfast_connections_open", role="transport")
    until(lambda: server.json("ledger")["delivered"] == 1)
    counted(1, "holdfast_messages_accepted_total", role="transport")
    counted(1, "holdfast_messages_finished_total", role="transport")
    counted(0, "holdfast_messages_queued", role="transport")
    counted(1, "holdfast_store_answers_total", database="DB01", answer="Delivered")
    assert (sample(server.metrics, "holdfast_connections_total", role="transport") or 0) >= 1
