"""Two servers of ours on this machine that keep copies for each other, as the lab brings them up."""

from __future__ import annotations

import time
from pathlib import Path

from holdfast.lab.laboratory import Lab
from relay_peers import Sink

_PATIENCE_S = 120.0
_PAIR = """name,site,roles,address,wait,ports,start
mail1,Main,transport mailbox access,10.61.0.11,yes,,yes
mail2,Main,transport mailbox access,10.61.0.12,yes,,yes
"""


class HoldfastPair:
    """The first of two servers takes mail and relays it; the second has a copy before each 250."""

    name = "Holdfast pair"

    def __init__(self, directory: Path) -> None:
        self.sink = Sink()
        self.lab = Lab(directory / "pair")
        self.lab.up(_PAIR, "pair.csv", loopback=True, say=lambda _: None)
        machine = self.lab.sheet.machines[0]
        self.address, self.port = machine.address, machine.ports.smtp
        for name in ("mail1", "mail2"):
            self.lab.manage(
                name, "connector", "allow-relay", "bench", "--server", "mail1", "--binding",
                f"{self.address}:{self.port}", "--remote-range", "127.0.0.1", "--yes",
            )  # fmt: skip
            self.lab.manage(
                name, "connector", "add-send", "out", "--address-space", "*", "--smart-host", "[127.0.0.1]",
                "--port", str(self.sink.port), "--yes",
            )  # fmt: skip
        self._until_protected()

    def _until_protected(self) -> None:
        """Wait until the second server takes copies."""
        deadline = time.monotonic() + _PATIENCE_S
        while "TRN-0501" not in self.lab.log_file("mail1").read_text(encoding="utf-8"):
            if time.monotonic() > deadline:
                raise SystemExit("the second server takes no copies; see its log")
            time.sleep(0.05)

    def keep(self) -> None:
        """Hand nothing on from now on."""
        self.lab.manage("mail1", "queue", "hold", "smart-host:out")

    def empty(self) -> None:
        """Forget all that is kept."""
        self.lab.manage("mail1", "queue", "remove", "smart-host:out", "--no-bounce", "--yes")

    def hand_on(self) -> None:
        """Hand on what comes from now on."""
        self.lab.manage("mail1", "queue", "release", "smart-host:out")

    def _unprotected_count(self) -> int:
        """Messages that were taken without a second copy: then something else was measured."""
        logs = (self.lab.home("mail1") / "tracking").glob("*.LOG")
        return sum(each.read_text(encoding="utf-8").count(",HAREDIRECTFAIL,") for each in logs)

    def close(self) -> None:
        """Stop both."""
        count = self._unprotected_count()
        if count:
            raise SystemExit(f"{count} messages were taken without a second copy; the figures are worthless")
        self.lab.destroy()
        self.sink.close()
