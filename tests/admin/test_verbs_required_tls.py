"""TLS that mail to a domain must have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.directory.model import RequiredTls, SendTls
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


def test_required_tls_comes_changes_and_goes(call: Call, store: DirectoryStore) -> None:
    call("tls require", domain="*.Partner.example")
    call("tls require", domain="Other.example", level="domain", tls_domain="MX.other.example")
    assert store.read().required_tls == (
        RequiredTls("*.partner.example", SendTls.CERTIFICATE),
        RequiredTls("other.example", SendTls.DOMAIN, "mx.other.example"),
    )
    assert [(row.domain, row.level, row.tls_domain) for row in call("tls list").domains] == [
        ("*.partner.example", "certificate", ""),
        ("other.example", "domain", "mx.other.example"),
    ]
    with pytest.raises(Refusal, match="dangerous"):
        call("tls require", domain="other.example", level="encrypted")
    call("tls require", domain="other.example", level="encrypted", yes=True)
    call("tls remove", domain="*.PARTNER.example", yes=True)
    assert store.read().required_tls == (RequiredTls("other.example", SendTls.ENCRYPTED),)


def test_what_cannot_be_is_refused(call: Call) -> None:
    with pytest.raises(Refusal, match=r"write example.com or \*.example.com"):
        call("tls require", domain="*x")
    with pytest.raises(Refusal, match="nothing was changed"):
        call("tls require", domain="x.example", level="encrypted", tls_domain="y.example")
    with pytest.raises(Refusal, match="not one of encrypted, certificate, domain"):
        call("tls require", domain="x.example", level="opportunistic")
    with pytest.raises(Refusal, match="there is no required tls"):
        call("tls remove", domain="x.example")
