"""Clients behind a relay that lease, renew and release without end, and remember each promise.

One thread, many conversations at once, as perfdhcp does it; a client repeats
itself when it hears nothing, as RFC 2131 wants it.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from dataclasses import dataclass
from ipaddress import IPv4Address

from dhcp.conversations import Client
from dhcp_service import RELAY, RELAY_OPTION, relay
from holdfast.kernel.errors import Refusal
from holdfast.wire import dhcp4
from holdfast.wire.dhcp4 import Message, encode_message, read_message

CONVERSATION_COUNT = 48
REPEAT_S = 0.3
HELD_COUNT_MAX = 3000
PATIENCE_S = 120.0


@dataclass
class Conversation:
    """What one client waits for."""

    client: Client
    asked: Message
    sent_at: float = 0.0


class DhcpLoad:
    """Clients that never stop, and what they were promised."""

    def __init__(self, port: int, luck: random.Random) -> None:
        self._port = port
        self._luck = luck
        self._next_number = 1
        self._open: dict[bytes, Conversation] = {}
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        # Address to client, for as long as the client has it; a client gives up before it says so.
        self.held: dict[str, Client] = {}
        self.ack_count = 0
        self.faults: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def wait_for_more(self, count: int) -> None:
        """Wait until this many more leases were acknowledged."""
        with self._news:
            wanted = self.ack_count + count
            assert self._news.wait_for(lambda: self.ack_count >= wanted, PATIENCE_S), "nothing gets through"

    def _run(self) -> None:
        with relay(self._port) as wire:
            wire.settimeout(0.02)
            while not self._stop.is_set():
                while len(self._open) < CONVERSATION_COUNT:
                    self._begin(wire)
                self._hear(wire)
                now = time.monotonic()
                for each in list(self._open.values()):
                    if now - each.sent_at > REPEAT_S:
                        self._send(wire, each)

    def _begin(self, wire: socket.socket) -> None:
        """One more client: a new one, or one that renews; who is one too many gives its address back."""
        busy = {id(each.client) for each in self._open.values()}
        if self.held and self._luck.random() < 0.3:
            address, client = self._luck.choice(list(self.held.items()))
            if id(client) not in busy:
                self._send(wire, Conversation(client, client.renew(address, RELAY_OPTION)))
                return
        while len(self.held) > HELD_COUNT_MAX:
            address, client = next(iter(self.held.items()))
            with self._news:
                del self.held[address]
            self._put(wire, client.release(address)._replace(options=self._release_options()))
            self._open = {xid: each for xid, each in self._open.items() if each.client is not client}
        client = Client(self._next_number, giaddr=RELAY)
        self._next_number += 1
        self._send(wire, Conversation(client, client.discover(RELAY_OPTION)))

    @staticmethod
    def _release_options() -> dict[int, bytes]:
        return {53: bytes((dhcp4.RELEASE,)), 54: IPv4Address("127.0.0.1").packed} | RELAY_OPTION

    def _send(self, wire: socket.socket, conversation: Conversation) -> None:
        self._open[conversation.asked.xid] = conversation
        conversation.sent_at = time.monotonic()
        self._put(wire, conversation.asked)

    def _put(self, wire: socket.socket, message: Message) -> None:
        try:
            wire.send(encode_message(message))
        except ConnectionRefusedError:
            return  # the server is dead; said again later

    def _hear(self, wire: socket.socket) -> None:
        try:
            answer = read_message(wire.recv(4096))
        except (TimeoutError, ConnectionRefusedError):
            return
        except Refusal as refusal:
            self.faults.append(f"an answer that is none: {refusal.text}")
            return
        conversation = self._open.pop(answer.xid, None)
        if conversation is None:
            return  # an answer to what was said twice
        client, address = conversation.client, str(IPv4Address(answer.yiaddr))
        match answer.options[53][0]:
            case dhcp4.OFFER:
                select = client.select(address, RELAY_OPTION, server=answer.options[54])
                self._send(wire, Conversation(client, select))
            case dhcp4.ACK:
                with self._news:
                    holder = self.held.get(address)
                    if holder is not None and holder is not client:
                        self.faults.append(f"{address} is leased to two clients")
                    self.held[address] = client
                    self.ack_count += 1
                    self._news.notify_all()
            case dhcp4.NAK:
                if conversation.asked.ciaddr != bytes(4):
                    renewed = str(IPv4Address(conversation.asked.ciaddr))
                    self.faults.append(f"{renewed} was promised, and its renewal refused")
