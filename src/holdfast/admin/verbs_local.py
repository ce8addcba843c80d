"""The verbs that need no server: they are about Holdfast itself."""

from __future__ import annotations

import platform

from holdfast.admin.catalogue import Argument, Arguments, Kind, Runs, Verb
from holdfast.admin.results import Explained, Version
from holdfast.kernel.errors import Refusal


def _explain(arguments: Arguments) -> Explained:
    import difflib

    from holdfast.admin.event_catalogue import all_events

    wanted = arguments.text("event").strip().upper()
    events = {each.event_id: each for each in all_events()}
    found = events.get(wanted)
    if found is None:
        near = ", ".join(difflib.get_close_matches(wanted, events, n=3, cutoff=0.5))
        hint = f"; near it are {near}" if near else "; docs/reference/events.md lists them all"
        raise Refusal(f'there is no event "{wanted}"{hint}')
    return Explained(found.event_id, found.severity.value, found.text, found.advice)


def program_version() -> str:
    """The version that is installed."""
    from importlib.metadata import version

    return version("holdfast")


def _version(arguments: Arguments) -> Version:
    return Version(program_version(), platform.python_version())


VERBS = (
    Verb(
        "explain",
        "",
        "Explain an event of the log, and what to do.",
        "holdfast explain DRV-0001",
        Explained,
        (
            Argument(
                "event", Kind.TEXT, "id of the event, as the log shows it", required=True, positional=True
            ),
        ),
        runs=Runs.LOCAL,
        perform_local=_explain,
    ),
    Verb(
        "version",
        "",
        "Show the version.",
        "holdfast version --json",
        Version,
        runs=Runs.LOCAL,
        perform_local=_version,
    ),
)
