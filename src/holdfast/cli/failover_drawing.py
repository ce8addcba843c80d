"""Draw a failover relationship: both servers, the link between them, their places in the web of states.

The same letters everywhere, so that nothing is told by colour alone: [STATE] is
this server, (STATE) its partner, [(STATE)] both.

Source: draft-ietf-dhc-failover-12 section 9.2, its figure of states.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from holdfast.admin.results_dhcp_failover import FailoverShown

# Each name has two blanks on both sides where it may be marked.
WEB = """\
      first start, or a lost database
                    |
                    v
  +------->  RECOVER  --->  RECOVER-WAIT  --->  RECOVER-DONE  ----+
  |                      everything                MCLT             |
  | comes back           was told                  is over          v
  |                                                             NORMAL  <----------------+
  |                                                 not reached |    ^                   |
  |                                                             v    | reached           |
  |                                     COMMUNICATIONS-INTERRUPTED  -+                   |
  |                     "partner-down", or switch-over |        |                        |
  |                                                    v        | the other served alone |
  +-- its partner, when it is back - - -       PARTNER-DOWN     |                        |
                                                        |       |                        |
                                 both served alone      v       v                        |
           RESOLUTION-INTERRUPTED  <--------->  POTENTIAL-CONFLICT                       |
                                   lost, again          |                                |
                                                        v                                |
                                                 CONFLICT-DONE  -------------------------+

  STARTUP  goes on where it was      PAUSED  and  SHUTDOWN  by an administrator's word"""
NAME = re.compile(r" (?<![A-Z-])([A-Z]+(?:-[A-Z]+)*)(?![A-Za-z-]) ")
STATE_LENGTH_MIN = 5  # MCLT is none


def draw(shown: FailoverShown, console: Console) -> None:
    """Print the picture of a relationship; nothing when the dhcp role did not tell."""
    if not shown.live:
        return
    from rich.text import Text

    for line in servers(shown):
        console.print(Text(line))
    console.print()
    for line in web(shown.state, shown.partner_state):
        text = Text(line)
        text.highlight_regex(r"\[\(?[A-Z-]+\)?\]", "bold green")
        text.highlight_regex(r"(?<!\[)\([A-Z-]+\)", "cyan")
        console.print(text)
    console.print(Text("  [STATE] this server   (STATE) its partner, as it said last"))


def servers(shown: FailoverShown) -> list[str]:
    """Two boxes and the line between them, broken where there is no connection."""
    role, other = ("primary", "secondary") if shown.server == shown.primary else ("secondary", "primary")
    own = [f"{shown.server} ({role}), this server", shown.state]
    partner = [f"{shown.partner} ({other})", shown.partner_state or "never seen"]
    widths = [max(map(len, each)) for each in (own, partner)]
    between = ["", "  <========>  " if shown.connected else "  <==    ==>  "]
    line = "  ".join(("+" + "-" * (widths[0] + 2) + "+", "          ", "+" + "-" * (widths[1] + 2) + "+"))
    return [
        line,
        *(
            f"| {left:<{widths[0]}} |{middle:^14}| {right:<{widths[1]}} |"
            for left, middle, right in zip(own, between, partner, strict=True)
        ),
        line,
    ]


def web(state: str, partner_state: str) -> list[str]:
    """The web of states with the two that hold now marked."""

    def marked(match: re.Match[str]) -> str:
        name = match[1]
        if len(name) < STATE_LENGTH_MIN or name not in (state, partner_state):
            return match[0]
        if state == partner_state:
            return f"[{name}]"
        return f"[{name}]" if name == state else f"({name})"

    def both(line: str) -> str:
        found = NAME.sub(marked, line)
        if state != partner_state:
            return found
        # One blank more on each side is there for it.
        return found.replace(f" [{state}] ", f"[({state})]")

    return [both(line) for line in WEB.splitlines()]
