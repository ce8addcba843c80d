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
            Argument("seed", Kind.COUNT, "the seed that decides everything", required=True),
            Argument("seeds", Kind.COUNT, "how many seeds, counting up"),
            Argument("scenario", Kind.TEXT, "name of the scenario"),
            Argument("trace", Kind.FLAG, "print every step"),
        ),
        detail="The same seed gives the same run on every machine.",
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
