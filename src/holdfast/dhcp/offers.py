"""Addresses that were offered: kept for their client until it answers or the offer lapses.

Invariants: one client has at most one offer here, one address at most one
client; all offers last equally long, so the oldest lapses first and looking at
the oldest is enough. Offers are not durable: a client whose offer a crash
forgot asks again, and hears what its address has become.

Source: RFC 2131 section 3.1, step 2.
"""

from __future__ import annotations

from collections import OrderedDict


class Offer:
    """What was promised to one client, and until when."""

    __slots__ = ("address", "until")

    def __init__(self, address: int, until: float) -> None:
        self.address = address
        self.until = until


class Offers:
    """The offers of one scope."""

    def __init__(self) -> None:
        # In the order in which they lapse. What is taken up leaves nothing behind: at 20,000 exchanges
        # a second, a queue that is cleared only when offers lapse would hold a million entries.
        self.by_client: OrderedDict[bytes, Offer] = OrderedDict()
        self.by_address: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self.by_client)

    def make(self, client: bytes, address: int, until: float) -> None:
        """Promise an address to a client, in place of what it was promised before."""
        holder = self.by_address.get(address)
        assert holder is None or holder == client, (address, holder, client)
        if client in self.by_client:
            self.drop(client)
        self.by_client[client] = Offer(address, until)
        self.by_address[address] = client

    def drop(self, client: bytes) -> int | None:
        """Take an offer back, or note that it was taken up; its address, None when there was none."""
        offer = self.by_client.pop(client, None)
        if offer is None:
            return None
        del self.by_address[offer.address]
        return offer.address

    def lapsed(self, now: float) -> list[int]:
        """Take back what was not answered in time; the addresses."""
        found = []
        while self.by_client:
            client, offer = next(iter(self.by_client.items()))
            if offer.until > now:
                break
            self.drop(client)
            found.append(offer.address)
        return found

    def next_lapse(self) -> float | None:
        """When ``lapsed`` finds something; None for never."""
        return next(iter(self.by_client.values())).until if self.by_client else None
