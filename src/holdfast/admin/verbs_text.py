"""The verbs about words of ours in delivery reports (exchange-behaviour QU-9)."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.results import Changed, DsnTextList, DsnTextRow
from holdfast.directory.edit import with_object, without_object
from holdfast.directory.model import DsnText
from holdfast.kernel.errors import Refusal


def _set(context: Context, arguments: Arguments) -> Changed:
    if arguments.given("text") == arguments.given("file"):
        raise Refusal("give the text, or a file with it, for example --file text.txt")
    if arguments.given("file"):
        text = arguments.texts("file")[1].replace("\r\n", "\n").rstrip("\n")
    else:
        text = arguments.text("text")
    return context.change(arguments, with_object(context.organisation, DsnText(arguments.text("name"), text)))


def _list(context: Context, arguments: Arguments) -> DsnTextList:
    texts = sorted(context.organisation.dsn_texts, key=lambda each: each.name)
    return DsnTextList([DsnTextRow(each.name, each.text.split("\n")) for each in texts])


def _remove(context: Context, arguments: Arguments) -> Changed:
    after = without_object(context.organisation, DsnText, arguments.text("name"))
    return context.change(arguments, after)


_NAME = Argument(
    "name",
    Kind.TEXT,
    'language and what it is for: "de 5.1.1", "de 5", "en delayed"; delivered, relayed and expanded likewise',
    required=True,
    positional=True,
    completes="text.texts.name",
)

VERBS = (
    Verb(
        "text",
        "set",
        "Say something in delivery reports in words of your own.",
        'holdfast text set "de 5.1.1" "Diese Adresse gibt es bei uns nicht."',
        Changed,
        (
            _NAME,
            Argument("text", Kind.TEXT, "what the sender reads, on one line", positional=True),
            Argument("file", Kind.FILE, "a file with what the sender reads, for several lines"),
            *CHANGE_ARGUMENTS,
        ),
        detail="It takes the place of the built-in text, or of the one that was set before.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "text",
        "list",
        "List the texts that take the place of built-in ones.",
        "holdfast text list",
        DsnTextList,
        perform=_list,
    ),
    Verb(
        "text",
        "remove",
        "Have the built-in text again.",
        'holdfast text remove "de 5.1.1"',
        Changed,
        (replace(_NAME, help="language and what it is for"), *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
)
