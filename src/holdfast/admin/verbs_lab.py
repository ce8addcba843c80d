"""The verbs of the lab: they start and hit real servers of this machine; only the command line has them."""

from __future__ import annotations

from holdfast.admin.catalogue import Argument, Kind, Runs, Verb
from holdfast.admin.results import Nothing

_STATE = Argument(
    "state", Kind.TEXT, "where the lab keeps itself; two labs have two of these", default=".holdfast-lab"
)
_SERVER = Argument("server", Kind.TEXT, "name of a server of the lab", required=True, positional=True)
_ONE = Argument("one", Kind.TEXT, "a server or a site", required=True, positional=True)
_OTHER = Argument("other", Kind.TEXT, "another one; everything if not given", default="", positional=True)


def _verb(name: str, summary: str, example: str, arguments: tuple[Argument, ...], detail: str = "") -> Verb:
    return Verb(
        "lab", name, summary, example, Nothing, (*arguments, _STATE), detail=detail, runs=Runs.PROGRAM
    )


VERBS = (
    _verb(
        "up",
        "Bring up the servers of a LAB.csv, in its order.",
        "holdfast lab up examples/two-sites.csv",
        (
            Argument(
                "file",
                Kind.TEXT,
                "the LAB.csv; the one of the last time if not given, else two servers",
                positional=True,
            ),
            Argument("loopback", Kind.FLAG, "without namespaces and root: on 127.x.y.z with high ports"),
        ),
        detail="Columns: name, site, roles, address, wait, ports, start, mailboxes. Each server runs in a "
        "network namespace of its own; servers of one site share a bridge, a router is between the sites. "
        "What a server had is there again.",
    ),
    _verb(
        "down", "Stop the servers and take the network away; what they keep stays.", "holdfast lab down", ()
    ),
    _verb("status", "Show the servers of the lab and what is cut.", "holdfast lab status --json", ()),
    _verb(
        "exec",
        "Run a command on a server: in its network and with its state directory.",
        "holdfast lab exec mail1 -- holdfast status",
        (
            Argument("server", Kind.TEXT, 'name of a server, or "outside"', required=True, positional=True),
            Argument("command", Kind.TEXT, "the command", required=True, positional=True, many=True),
        ),
    ),
    _verb("start", "Start a server that is down.", "holdfast lab start mail1", (_SERVER,)),
    _verb("kill", "kill -9 every process of a server at once.", "holdfast lab kill mail1", (_SERVER,)),
    _verb(
        "freeze",
        "Stop every process of a server where it is (SIGSTOP).",
        "holdfast lab freeze mail1",
        (_SERVER,),
    ),
    _verb("thaw", "Let a frozen server go on.", "holdfast lab thaw mail1", (_SERVER,)),
    _verb(
        "cut",
        "Drop what two servers or sites send to each other, or everything of one.",
        "holdfast lab cut mail1 mail2 --one-way",
        (_ONE, _OTHER, Argument("one-way", Kind.FLAG, "drop only what the first one sends")),
        detail="Neither end is told, as with a broken cable.",
    ),
    _verb(
        "heal",
        "End cuts: between two, all of one, or all.",
        "holdfast lab heal",
        (
            Argument(
                "one", Kind.TEXT, "a server or a site; everything if not given", default="", positional=True
            ),
            _OTHER,
        ),
    ),
)
