"""A dhcp role for the tests of the verbs: it answers from a list of leases."""

from __future__ import annotations

from ipaddress import IPv4Address

import msgspec

from holdfast.drivers.dhcp_requests import (
    COUNT_SCOPES,
    LIST_LEASES,
    REMOVE_LEASES,
    SHOW_POOL,
    AllScopeCounts,
    Leases,
    LeasesRemoved,
    LeaseState,
    PoolRun,
    PoolState,
    ScopeCounts,
)
from holdfast.kernel.errors import Refusal


def lease(address: str, mac: str = "02:00:00:00:00:01", state: str = "active", **more: object) -> LeaseState:
    """A lease of the scope "office" that ends at 2,000."""
    values = {
        "scope": "office",
        "client_id": "",
        "host_name": "",
        "started_at": 1000.0,
        "ends_at": 2000.0,
        "seen_at": 1000.0,
    }
    return LeaseState(address=address, mac=mac, state=state, **(values | more))  # type: ignore[arg-type] # as drawn


class DhcpRole:
    """Answers as the role would, by the rules of ``drivers.dhcp_requests``."""

    def __init__(self, *leases: LeaseState) -> None:
        self.leases = {each.address: each for each in leases}

    def __call__(self, verb: str, body: bytes) -> bytes:
        if verb == LIST_LEASES.name:
            return msgspec.msgpack.encode(self._list(body))
        if verb == SHOW_POOL.name:
            scope = SHOW_POOL.read(body).scope
            numbers = [
                (int(IPv4Address(each.address)), each) for each in self._sorted() if each.scope == scope
            ]
            return msgspec.msgpack.encode(
                PoolState(tuple(PoolRun(number, number, each.state) for number, each in numbers))
            )
        if verb == COUNT_SCOPES.name:
            return msgspec.msgpack.encode(self._counts())
        if verb == REMOVE_LEASES.name:
            asked = REMOVE_LEASES.read(body).addresses
            gone = tuple(each for each in asked if self.leases.pop(each, None) is not None)
            unknown = tuple(each for each in asked if each not in gone)
            return msgspec.msgpack.encode(LeasesRemoved(gone, unknown))
        raise Refusal(f"no request {verb}")

    def _sorted(self) -> list[LeaseState]:
        return sorted(self.leases.values(), key=lambda each: IPv4Address(each.address))

    def _list(self, body: bytes) -> Leases:
        asked = LIST_LEASES.read(body)
        found = [
            each
            for each in self._sorted()
            if (not asked.scopes or each.scope in asked.scopes)
            and (not asked.addresses or each.address in asked.addresses)
            and each.mac.replace(":", "").startswith(asked.mac)
            and each.client_id.replace(":", "").startswith(asked.client_id)
            and each.host_name.lower().startswith(asked.host_name)
            and (not asked.states or each.state in asked.states)
            and (not asked.after or IPv4Address(each.address) > IPv4Address(asked.after))
        ]
        return Leases(tuple(found[: asked.count_max]), more=len(found) > asked.count_max)

    def _counts(self) -> AllScopeCounts:
        names = dict.fromkeys(each.scope for each in self.leases.values())
        return AllScopeCounts(
            tuple(
                ScopeCounts(
                    name,
                    *(
                        sum(each.scope == name and each.state == state for each in self.leases.values())
                        for state in ("active", "offered", "declined")
                    ),
                    free_count=7,
                )
                for name in names
            )
        )
