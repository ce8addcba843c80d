"""A profile without more words is plain SMTP by DNS."""

from __future__ import annotations

from holdfast.directory.model import SendTls, SmartHostAuth
from holdfast.transport.hop_profile import HopProfile
from holdfast.transport.queue import DeliveryType, NextHopKey


def test_defaults() -> None:
    profile = HopProfile(NextHopKey(DeliveryType.DNS, "example.org", "internet"), "mail.example.com")
    assert (profile.port, profile.tls, profile.auth) == (25, SendTls.OPPORTUNISTIC, SmartHostAuth.NONE)
    assert not profile.smart_hosts
    assert not profile.server_groups
