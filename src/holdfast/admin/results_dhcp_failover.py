"""What the verbs about DHCP failover give back; see ``admin.results``."""

from __future__ import annotations

from holdfast.admin.results import Result, SettingRow


class FailoverRow(Result, frozen=True):
    """One relationship in a list.

    ``secret`` says whether it has a shared secret. The states are empty where this server's dhcp role
    was not asked or is no partner.
    """

    name: str
    mode: str
    primary: str
    secondary: str
    scopes: list[str]
    secret: bool
    state: str
    partner_state: str
    connected: bool | None


class FailoverList(Result, frozen=True):
    """Failover relationships by name."""

    relationships: list[FailoverRow]


class FailoverScopeRow(Result, frozen=True):
    """One shared scope, the server that it belongs to, and whose its free addresses are.

    Numbers are empty where this server's dhcp role did not tell; ``wanted`` is how many should be ours.
    """

    scope: str
    server: str
    own_free: int | None
    partner_free: int | None
    wanted: int | None


class FailoverShown(Result, frozen=True):
    """All of one relationship, and how it goes as this server sees it.

    ``server`` is this one, empty when it is none of the partners. ``live`` is false when its dhcp role
    did not answer: then the fields up to ``trouble`` are not known. ``serves`` says whom this server
    answers now, ``waits_until_at`` until when the state lasts at least, ``next_step`` what has to happen
    or what can be done. ``untold`` are leases that the partner has not acknowledged yet;
    ``clock_difference_s`` is how far the partner's clock is ahead; ``configuration`` whether it has the same
    scopes, reservations and settings, empty while that is not known; ``differences`` in what they differ.
    Reservations that changed here hold as before, or for nobody, until both have the same: ``in_doubt`` has
    their addresses.
    """

    name: str
    mode: str
    primary: str
    secondary: str
    secret: bool
    server: str
    partner: str
    partner_address: str
    live: bool
    state: str
    state_since_at: float | None
    partner_state: str
    partner_since_at: float | None
    connected: bool | None
    spoken_at: float | None
    clock_difference_s: float | None
    untold_count: int | None
    oldest_untold_s: float | None
    serves: str
    waits_until_at: float | None
    trouble: str
    configuration: str
    differences: list[str]
    in_doubt: list[str]
    meaning: str
    next_step: str
    scopes: list[FailoverScopeRow]
    settings: list[SettingRow]


class FailoverOrdered(Result, frozen=True):
    """What an administrator's word did on this server: the states before and after it."""

    relationship: str
    before: str
    after: str
    meaning: str
    next_step: str
    dangers: list[str]


class Replicated(Result, frozen=True):
    """What differed from the partner, and whether it was taken over; ``same`` when nothing did.

    ``changes`` is what becomes of this server's configuration; ``applied`` is false with ``--plan``.
    ``server_wide`` are changes that it would take for all its clients to be told what the partner tells its
    own: they are made with ``--server-wide`` alone.
    """

    relationship: str
    same: bool
    applied: bool
    revision: int
    changes: list[str]
    dangers: list[str]
    server_wide: list[str]


class SecretSet(Result, frozen=True):
    """Whether a relationship has a shared secret now."""

    relationship: str
    secret: bool
