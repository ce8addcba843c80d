"""Connector verbs on a real directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from holdfast.directory.model import SendConnector, TlsMode, Usage
from holdfast.directory.plan import plan_change
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


def test_a_receive_connector_is_opened_changed_and_closed(call: Call, store: DirectoryStore) -> None:
    call(
        "connector add-receive",
        name="scanner",
        binding=["127.0.0.1:2626"],
        remote_range=["192.0.2.64/28"],
        usage="internal",
        tls="none",
        message_size_max="5MB",
        tarpit="1s",
    )
    connector = store.read().receive_connectors[-1]
    assert (connector.server, connector.bindings) == ("demo", ("127.0.0.1:2626",))
    assert (connector.usage, connector.tls) == (Usage.INTERNAL, TlsMode.NONE)
    assert (connector.message_bytes_max, connector.tarpit_s) == (5 << 20, 1.0)
    call(
        "connector set",
        name="scanner",
        binding=["127.0.0.1:2627"],
        recipient_count_max=5,
        fqdn="scan.example.test",
        yes=True,
    )
    after = store.read().receive_connectors[-1]
    assert after == replace(
        connector, bindings=("127.0.0.1:2627",), recipient_count_max=5, fqdn="scan.example.test"
    )
    call("connector remove", name="scanner", yes=True)
    assert [row.name for row in call("connector list").connectors] == ["internet", "client", "client-tls"]


def test_show_writes_values_as_files_do(call: Call) -> None:
    settings = {row.name: row.value for row in call("connector show", name="internet").settings}
    assert settings["message_size_max"] == "36MB"
    assert settings["bindings"] == "127.0.0.1:2525"


def test_what_cannot_be_is_refused(call: Call) -> None:
    with pytest.raises(Refusal, match="there already"):
        call("connector add-receive", name="internet", binding=["127.0.0.1:2626"])
    with pytest.raises(Refusal, match="nothing was changed"):
        call("connector add-receive", name="second", binding=["127.0.0.1:2525"])
    with pytest.raises(Refusal, match='did you mean "internet"'):
        call("connector show", name="internett")


def test_send_connectors_are_listed_and_changed_by_file(call: Call, store: DirectoryStore) -> None:
    before = store.read()
    connector = SendConnector("out", ("*",), source_servers=("demo",))
    plan = plan_change(before, replace(before, send_connectors=(connector,)))
    store.apply(plan, who="test", why="", at=0.0)
    assert call("connector list").connectors[-1].direction == "send"
    assert call("connector show", name="out").direction == "send"
    with pytest.raises(Refusal, match="send connector"):
        call("connector set", name="out")
    call("connector remove", name="out", yes=True)
    assert store.read().send_connectors == ()
