"""What the verbs about DHCP failover give back; see ``admin.results``."""

from __future__ import annotations

from holdfast.admin.results import Result, SettingRow


class FailoverRow(Result, frozen=True):
    """One relationship in a list; ``secret`` says whether it has a shared secret."""

    name: str
    mode: str
    primary: str
    secondary: str
    scopes: list[str]
    secret: bool


class FailoverList(Result, frozen=True):
    """Failover relationships by name."""

    relationships: list[FailoverRow]


class FailoverShown(Result, frozen=True):
    """All of one relationship; ``server`` is this one, empty when it is none of the partners."""

    name: str
    mode: str
    primary: str
    secondary: str
    secret: bool
    server: str
    partner: str
    partner_address: str
    scopes: list[str]
    settings: list[SettingRow]


class SecretSet(Result, frozen=True):
    """Whether a relationship has a shared secret now."""

    relationship: str
    secret: bool
