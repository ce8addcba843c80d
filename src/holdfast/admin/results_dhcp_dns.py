"""What the verbs about names in DNS give back; see ``admin.results``."""

from __future__ import annotations

from holdfast.admin.results import Result, SettingRow


class DnsScopeRow(Result, frozen=True):
    """What one scope registers; ``domain`` is empty where none is declared, and nothing can be registered."""

    scope: str
    updates: str
    domain: str
    reverse: bool
    without_request: bool
    remove: bool
    protect: bool


class DnsShown(Result, frozen=True):
    """How a server registers names; ``secret`` says whether its key has one."""

    server: str
    registers: bool
    secret: bool
    settings: list[SettingRow]
    scopes: list[DnsScopeRow]


class TsigSecretSet(Result, frozen=True):
    """Whether a key has a secret now."""

    key: str
    secret: bool


class DnsZoneRow(Result, frozen=True):
    """One zone that updates were sent to; ``reason`` is why it takes none now."""

    zone: str
    state: str
    reason: str
    failing_since_at: float | None
    retry_at: float | None
    waiting_count: int


class DnsNameRow(Result, frozen=True):
    """One name that is not as it should be."""

    address: str
    name: str
    state: str
    client: str


class DnsStatus(Result, frozen=True):
    """How names in DNS stand."""

    registers: bool
    registered_count: int
    waiting_count: int
    refused_count: int
    removal_count: int
    in_flight_count: int
    zones: list[DnsZoneRow]
    names: list[DnsNameRow]


class DnsRetried(Result, frozen=True):
    """How many zones are asked at once."""

    zone_count: int
