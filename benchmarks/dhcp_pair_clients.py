"""Clients that get addresses of a pair, and extend them later; runs in the relay's network namespace.

    dhcp_pair_clients.py COUNT RELAY SERVER [SERVER]

Writes a line once they have addresses. Each line on its standard input, the
addresses of the servers that are reached now, makes them all rebind; what came
of it is written as a line of JSON.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from holdfast.wire.dhcp4 import Message, encode_message, read_message

_PATIENCE_S = 3.0
_NONE = bytes(4)
_DISCOVER, _OFFER, _REQUEST, _ACK = 1, 2, 3, 5


class Clients:
    """All of them, behind one relay."""

    def __init__(self, count: int, relay: str) -> None:
        self._wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._wire.bind((relay, 67))
        self._relay = socket.inet_aton(relay)
        self._hardware = [b"\x02\x03" + number.to_bytes(4, "big") for number in range(count)]
        self.addresses: dict[int, bytes] = {}

    def _ask(self, number: int, kind: int, servers: list[str], ciaddr: bytes, more: dict[int, bytes]) -> None:
        message = Message(
            1, 1, self._hardware[number], 1, number.to_bytes(4, "big"), 0, 0, ciaddr, _NONE, _NONE,
            self._relay, b"", b"", {53: bytes((kind,)), **more},
        )  # fmt: skip
        for server in servers:
            self._wire.sendto(encode_message(message), (server, 67))

    def _answers(self, kind: int, numbers: set[int]) -> dict[int, Message]:
        """The first answer of that kind to each, as far as they come."""
        found: dict[int, Message] = {}
        until = time.monotonic() + _PATIENCE_S
        while len(found) < len(numbers) and (left_s := until - time.monotonic()) > 0:
            if not select.select([self._wire], [], [], left_s)[0]:
                break
            answer = read_message(self._wire.recv(4096))
            number = int.from_bytes(answer.xid, "big")
            if answer.options.get(53) == bytes((kind,)) and number in numbers:
                found.setdefault(number, answer)
        return found

    def obtain(self, servers: list[str]) -> None:
        """All get addresses, a few at a time."""
        numbers = list(range(len(self._hardware)))
        for at in range(0, len(numbers), 20):
            group = set(numbers[at : at + 20])
            while group:
                for number in group:
                    self._ask(number, _DISCOVER, servers, _NONE, {})
                for number, offer in self._answers(_OFFER, group).items():
                    chosen = {50: offer.yiaddr, 54: offer.options[54]}
                    self._ask(number, _REQUEST, servers, _NONE, chosen)
                for number, ack in self._answers(_ACK, group).items():
                    self.addresses[number] = ack.yiaddr
                group -= set(self.addresses)

    def rebind(self, servers: list[str]) -> dict[str, float]:
        """All extend what they have."""
        began = time.monotonic()
        for number, address in self.addresses.items():
            self._ask(number, _REQUEST, servers, address, {})
        answers = self._answers(_ACK, set(self.addresses))
        kept = sum(answer.yiaddr == self.addresses[number] for number, answer in answers.items())
        return {"clients": len(self.addresses), "kept": kept, "seconds": round(time.monotonic() - began, 3)}


def main() -> None:
    """Obtain, then rebind as told."""
    count, relay, *servers = sys.argv[1:]
    clients = Clients(int(count), relay)
    clients.obtain(servers)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(clients.rebind(line.split())), flush=True)


if __name__ == "__main__":
    main()
