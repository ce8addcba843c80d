"""The verb that rehearses the night a server dies; it works from outside, so only the command line has it."""

from __future__ import annotations

from holdfast.admin.catalogue import Argument, Kind, Runs, Verb
from holdfast.admin.results import Nothing

_ARGUMENTS = (
    Argument("lab", Kind.TEXT, "bring up this LAB.csv in network namespaces for the drill (as root)"),
    Argument("loopback", Kind.FLAG, "bring up two servers as processes on 127.x.y.z (no root)"),
    Argument("live", Kind.FLAG, "the server that runs here and those of its organisation; asks first"),
    Argument("yes", Kind.FLAG, "with --live: do not ask; and do hit a server that is in use"),
    Argument("kill", Kind.TEXT, "kill -9 every process of this server, or of any"),
    Argument("lose-queue", Kind.FLAG, "a killed server comes back without its queue, as after a lost disk"),
    Argument("both", Kind.FLAG, "meanwhile another server is killed and loses its queue"),
    Argument("freeze", Kind.TEXT, "stop every process of this server where it is, or of any"),
    Argument("cut", Kind.TEXT, "cut this server, or any, off from everything; mail1:mail2 from one"),
    Argument("one-way", Kind.FLAG, "with --cut: drop only what the server sends"),
    Argument("no-blow", Kind.FLAG, "hit nobody: how it looks when all is well"),
    Argument("load", Kind.TEXT, "letters a second; 100/s if not given, 5/s with --live"),
    Argument("minutes", Kind.TEXT, "how long mail is sent", default="1"),
    Argument("seed", Kind.COUNT, "repeat the letters, the victim and the moment of an earlier drill"),
    Argument("back-after", Kind.SPAN, "how long after the blow the server is back; drawn if not given"),
    Argument("no-return", Kind.FLAG, "the server stays away until the others have done what they can"),
    Argument(
        "declare-lost-after",
        Kind.SPAN,
        "after this long the others are told that it is lost; they find out by silence if not given",
    ),
    Argument("patience", Kind.SPAN, "how long the queues may take to drain", default=60.0),
    Argument("report", Kind.TEXT, "folder for the report; below the state directory if not given"),
    Argument("keep", Kind.FLAG, "leave the lab up afterwards"),
    Argument(
        "state",
        Kind.TEXT,
        "where the lab keeps itself; if not given, .holdfast-drill/ and its name, or the one that is up",
    ),
)

VERBS = (
    Verb(
        "drill",
        "run",
        "Send mail while a server is killed, frozen or cut off; then look for every letter and report.",
        "holdfast drill run --loopback --kill mail1 --load 200/s --minutes 2",
        Nothing,
        _ARGUMENTS,
        detail="Any server is killed at a random moment unless you say otherwise. A lab that is up in the "
        "state directory is drilled as it is. Exit code 1 when a promise was broken.",
        runs=Runs.PROGRAM,
    ),
)
