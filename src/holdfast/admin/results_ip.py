"""What the verbs about IP subnets give back."""

from __future__ import annotations

import msgspec

from holdfast.admin.results import Result


class SubnetRow(Result, frozen=True):
    """One subnet in numbers. ``mask`` and ``broadcast`` are empty where IP knows none."""

    subnet: str
    first: str
    last: str
    mask: str
    broadcast: str
    address_count: int
    host_count: int


class HolderRow(Result, frozen=True):
    """In which of the subnets something lies: as a whole, or only a part of it."""

    wanted: str
    inside: list[str]
    partly_inside: list[str]


class SubnetAnswer(Result, frozen=True, omit_defaults=True):
    """One of these, by what was asked: ``addresses`` and ``subnets`` are streamed."""

    addresses: list[str] = msgspec.field(default_factory=list)
    subnets: list[str] = msgspec.field(default_factory=list)
    counts: list[SubnetRow] = msgspec.field(default_factory=list)
    host_count: int | None = None
    holders: list[HolderRow] = msgspec.field(default_factory=list)
