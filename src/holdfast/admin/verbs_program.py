"""The verbs that start something: only the command line has them, it does them itself."""

from __future__ import annotations

from holdfast.admin.catalogue import Argument, Kind, Runs, Verb
from holdfast.admin.results import Nothing

VERBS = (
    Verb(
        "up",
        "",
        "Start this server and keep it running until Ctrl-C.",
        "holdfast up --home /var/lib/holdfast",
        Nothing,
        (
            Argument(
                "empty", Kind.FLAG, "in a new home, declare nothing; `organisation import` declares it later"
            ),
            Argument("server", Kind.TEXT, "which server of the organisation this is, where it has several"),
        ),
        detail="One process per role, each started again when it dies. A new home gets a demonstration: "
        "example.test with the mailboxes of alice and bob, on loopback.",
        runs=Runs.PROGRAM,
    ),
    Verb(
        "simulate",
        "",
        "Run the made-up world: the same code with faults drawn from a seed.",
        "holdfast simulate --seed 7 --trace",
        Nothing,
        (
            Argument("seed", Kind.COUNT, "the seed that decides everything"),
            Argument("seeds", Kind.TEXT, "how many seeds, counting up from --seed, or which: 0-199"),
            Argument("scenario", Kind.TEXT, "name of the scenario; a wrong one lists those that there are"),
            Argument("trace", Kind.FLAG, "print every step"),
            Argument("timeline", Kind.TEXT, "draw the run as an SVG file of this name"),
            Argument(
                "shrink", Kind.FLAG, "find the fewest letters and faults with which the seed still fails"
            ),
            Argument("everywhere", Kind.FLAG, "kill each process right before each event, in turn"),
            Argument("processes", Kind.COUNT, "how many seeds at once; one per processor by default"),
        ),
        detail="The same seed gives the same run on every machine. Scenarios with several servers: "
        "`plug-pull-pair`, `partition`, `disk-loss`, `rolling-restart`.",
        runs=Runs.PROGRAM,
    ),
    Verb(
        "completion",
        "",
        "Print the completion script of a shell.",
        'eval "$(holdfast completion bash)"',
        Nothing,
        (
            Argument(
                "shell",
                Kind.CHOICE,
                "which shell",
                required=True,
                positional=True,
                choices=("bash", "zsh", "fish"),
            ),
        ),
        runs=Runs.PROGRAM,
    ),
)
