"""``make bench-take-over``: how soon, and how fast, a server delivers what a lost one had acknowledged.

Two servers of ours on this machine. The first is made to keep mail for a mailbox of the second, then
killed (kill -9) and declared lost at the second. Measured from the decision: the first message in the
mailbox, and all of them, as IMAP tells it.
"""

from __future__ import annotations

import argparse
import imaplib
import json
import statistics
import tempfile
import time
from pathlib import Path

from harness import RESULTS, machine
from relay_peers import send
from shadow_peers import HoldfastPair

RECIPIENT = "mail2.user1@lab.test"
SIZE = 5_000
_PATIENCE_S = 300.0


class Mailbox:
    """The mailbox at the second server."""

    def __init__(self, pair: HoldfastPair) -> None:
        server = pair.lab.sheet.machines[1]
        self._client = imaplib.IMAP4(server.address, server.ports.imap)
        self._client.login(RECIPIENT, pair.lab.passwords()[RECIPIENT])

    def message_count(self) -> int:
        """Messages in it now."""
        _, answer = self._client.status("INBOX", "(MESSAGES)")
        return int(answer[0].rsplit(b" ", 1)[1].rstrip(b")"))

    def wait_for(self, count: int) -> float:
        """The instant at which so many were first seen."""
        deadline = time.monotonic() + _PATIENCE_S
        while self.message_count() < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.message_count()} of {count} messages were delivered")
            time.sleep(0.005)
        return time.monotonic()


def _queue_to_second(pair: HoldfastPair) -> str:
    queues = json.loads(pair.lab.manage("mail1", "queue", "list", "--json"))["queues"]
    return next(each["queue"] for each in queues if each["delivery_type"] == "server")


def measure(directory: Path, count: int) -> tuple[float, float]:
    """Seconds until the first message, and messages per second from the decision until the last."""
    pair = HoldfastPair(directory)
    try:
        send(pair.port, (1, 1000, 5, True), pair.address, RECIPIENT)
        mailbox = Mailbox(pair)
        mailbox.wait_for(5)
        pair.lab.manage("mail1", "queue", "hold", _queue_to_second(pair))
        send(pair.port, (20, SIZE, count, True), pair.address, RECIPIENT)
        pair.lab.kill("mail1")
        decided_at = time.monotonic()
        pair.lab.manage("mail2", "server", "declare-lost", "mail1", "--yes")
        first_at = mailbox.wait_for(6)
        last_at = mailbox.wait_for(5 + count)
    finally:
        pair.close()
    return first_at - decided_at, count / (last_at - decided_at)


def main() -> None:
    """Measure some times and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=10_000)
    arguments = parser.parse_args()
    firsts, rates = [], []
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
            first_s, rate = measure(Path(name), arguments.messages)
        firsts.append(first_s)
        rates.append(rate)
        print(f"round {number + 1}: first after {first_s:.2f} s, {rate:,.0f} messages/s")
    result = {
        "suite": "take-over",
        "machine": machine(),
        "messages": arguments.messages,
        "size_bytes": SIZE,
        "rounds": arguments.rounds,
        "first_after_s": round(statistics.median(firsts), 3),
        "first_after_s_most": round(max(firsts), 3),
        "messages_per_s": round(statistics.median(rates)),
        "messages_per_s_least": round(min(rates)),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "take-over.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
