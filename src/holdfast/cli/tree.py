"""The command tree, generated from the catalogue of verbs.

A noun of several words is a group below the noun of its first words.

A noun's module is imported when its commands are wanted, so that
``holdfast version`` does not wait for what only ``holdfast message`` needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from holdfast.admin.catalogue import (
    FILE_CHARACTERS_MAX,
    NOUNS,
    Argument,
    ArgumentValue,
    Kind,
    Noun,
    Runs,
    Verb,
    read_value,
    verbs_of,
)
from holdfast.kernel.errors import Refusal

Run = Callable[[Verb, dict[str, ArgumentValue], "Options"], None]


class Options:
    """What is the same for every command.

    Attributes:
        home: the state directory.
        json: whether the result is printed as JSON.
    """

    def __init__(self, home: str | None, *, json: bool) -> None:
        named = home or os.environ.get("HOLDFAST_HOME")
        self.home = Path(named) if named else default_home()
        self.json = json


def default_home() -> Path:
    """``./.holdfast`` where it exists (a trial run), else where packages keep state."""
    here = Path(".holdfast")
    return here if here.is_dir() else Path("/var/lib/holdfast")


def _home_option() -> click.Option:
    text = "State directory of the server; else $HOLDFAST_HOME, ./.holdfast if it exists, /var/lib/holdfast."
    return click.Option(["--home"], metavar="DIR", help=text)


_NAMES_OF_FILES = (Kind.FILE, Kind.DATA, Kind.OUTPUT)


class _Value(click.ParamType[ArgumentValue]):
    """One value of an argument, read the way the server reads it."""

    def __init__(self, argument: Argument, complete: Callable[[Argument, str], list[str]]) -> None:
        self._argument = argument
        self._complete = complete
        self.name = argument.kind.value

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or self._argument.kind in _NAMES_OF_FILES:
            return value
        try:
            return read_value(self._argument, value)
        except Refusal as refusal:
            return self.fail(refusal.text, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        from click.shell_completion import CompletionItem

        if self._argument.kind in _NAMES_OF_FILES:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(each) for each in self._complete(self._argument, incomplete)]


class Tree(click.Group):
    """``holdfast``: one command or group per noun."""

    def __init__(self, run: Run, complete: Callable[[Argument, str], list[str]]) -> None:
        """Make a tree whose commands call ``run``; ``complete`` gives words for the shell."""
        super().__init__(
            name="holdfast",
            help="Holdfast, the mail and address service of an organisation that must not stop.",
            params=[_home_option()],
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        )
        self._run = run
        self._complete = complete

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [noun.name for noun in nouns_below("")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        noun = NOUNS.get(cmd_name)
        if noun is None or " " in cmd_name:
            return None
        return _Noun(noun, self._run, self._complete).whole()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(noun.name, noun.summary) for noun in nouns_below("")])


def nouns_below(name: str) -> list[Noun]:
    """The nouns that have one word more than ``name``: ``dhcp scope`` is below ``dhcp``."""
    before = f"{name} " if name else ""
    count = name.count(" ") + (1 if name else 0)
    return [noun for noun in NOUNS.values() if noun.name.startswith(before) and noun.name.count(" ") == count]


class _Below(click.Group):
    """A noun with others below it: its own verbs, and a group for each of those."""

    def __init__(self, noun: Noun, run: Run, complete: Callable[[Argument, str], list[str]]) -> None:
        super().__init__(_last_word(noun.name), help=noun.summary)
        self._nouns = {_last_word(each.name): each for each in nouns_below(noun.name)}
        self._run = run
        self._complete = complete

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._nouns, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        noun = self._nouns.get(cmd_name)
        if noun is None:
            return self.commands.get(cmd_name)
        return _Noun(noun, self._run, self._complete).whole()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Told without importing what is below.
        rows = [(name, noun.summary) for name, noun in self._nouns.items()]
        rows += [(name, command.get_short_help_str(100)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _last_word(name: str) -> str:
    return name.rpartition(" ")[2]


class _Noun:
    """Makes the commands of one noun."""

    def __init__(self, noun: Noun, run: Run, complete: Callable[[Argument, str], list[str]]) -> None:
        self._noun = noun
        self._run = run
        self._complete = complete

    def whole(self) -> click.Command:
        noun, verbs = self._noun, verbs_of(self._noun.name)
        if len(verbs) == 1 and not verbs[0].name:
            return self._command(verbs[0], noun.name)
        if nouns_below(noun.name):
            group: click.Group = _Below(noun, self._run, self._complete)
        else:
            group = click.Group(_last_word(noun.name), help=noun.summary)
        for verb in verbs:
            group.add_command(self._command(verb, verb.name))
        return group

    def _command(self, verb: Verb, name: str) -> click.Command:
        params: list[click.Parameter] = []
        for argument in verb.arguments:
            params += self._parameters(argument)
        params.append(_home_option())
        params.append(click.Option(["--json"], is_flag=True, help="Print the result as JSON."))

        def invoke(**given: Any) -> None:
            before = click.get_current_context().find_root().params.get("home")
            options = Options(given.pop("home") or before, json=given.pop("json"))
            self._run(verb, read_given(verb, given), options)

        text = f"{verb.summary}\n\n{verb.detail}\n\n" if verb.detail else f"{verb.summary}\n\n"
        return click.Command(
            name, params=params, callback=invoke, help=f"{text}Example:\n\n\b\n    {verb.example}"
        )

    def _parameters(self, argument: Argument) -> Sequence[click.Parameter]:
        variable = argument.name.replace("-", "_")
        if argument.kind is Kind.PASSWORD:
            return (
                click.Option(
                    [f"--{argument.name}-file"],
                    type=click.File("r"),
                    metavar="FILE",
                    help=f"Read the {argument.name} from the first line of a file; - is standard input.",
                ),
                click.Option(
                    [f"--ask-{argument.name}"],
                    is_flag=True,
                    help=f"Ask for the {argument.name}, or take it from a pipe.",
                ),
            )
        value = _Value(argument, self._complete)
        if argument.positional:
            return (
                click.Argument(
                    [variable],
                    required=argument.required,
                    nargs=-1 if argument.many else 1,
                    type=value,
                    metavar=f"{argument.name.upper()}{'...' if argument.many else ''}",
                ),
            )
        help_text = _sentence(argument)
        if argument.kind is Kind.FLAG:
            return (click.Option([f"--{argument.name}", variable], is_flag=True, help=help_text),)
        metavar = "|".join(argument.choices) or argument.kind.value.upper().replace(" ", "-")
        return (
            click.Option(
                [f"--{argument.name}", variable],
                required=argument.required,
                multiple=argument.many,
                type=value,
                metavar=metavar,
                help=help_text,
            ),
        )


def _sentence(argument: Argument) -> str:
    text = argument.help[0].upper() + argument.help[1:] + "."
    if argument.many:
        text += " May be given several times."
    if argument.default not in (None, ""):
        text += f" Default: {argument.default}."
    return text


def read_given(verb: Verb, given: dict[str, Any]) -> dict[str, ArgumentValue]:
    """Turn what click read into the arguments of a verb; files and passwords are read here."""
    values: dict[str, ArgumentValue] = {}
    for argument in verb.arguments:
        if argument.kind is Kind.PASSWORD:
            password = _read_password(
                argument, given[f"{argument.name}_file"], ask=given[f"ask_{argument.name}"]
            )
            if password is not None:
                values[argument.name] = password
            continue
        value = given[argument.name.replace("-", "_")]
        if value is None or value is False or value == ():
            continue
        if argument.kind is Kind.DATA:
            values[argument.name] = [_pack(each) for each in value] if argument.many else _pack(value)
        elif argument.kind is Kind.FILE:
            values[argument.name] = _read_file(value)
        else:
            values[argument.name] = list(value) if argument.many else value
    return values


def _pack(name: str) -> str:
    from holdfast.admin.sent_files import pack_file

    try:
        return pack_file(name)
    except Refusal as refusal:
        raise click.UsageError(refusal.text) from None


def _read_file(name: str) -> list[str]:
    try:
        # One character more than allowed is enough to know: /dev/zero has no end.
        with nullcontext(sys.stdin) if name == "-" else Path(name).open(encoding="utf-8") as stream:
            text = stream.read(FILE_CHARACTERS_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise click.UsageError(f"cannot read {name}: {reason}") from None
    if len(text) > FILE_CHARACTERS_MAX:
        raise click.UsageError(f"{name} is larger than {FILE_CHARACTERS_MAX} characters")
    return [name, text]


def _read_password(argument: Argument, file: Any, *, ask: bool) -> str | None:
    if file is not None:
        try:
            password = file.readline().rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise click.UsageError(f"cannot read the {argument.name} file as text") from None
    elif ask and sys.stdin.isatty():
        password = click.prompt(argument.name.capitalize(), hide_input=True, confirmation_prompt=True)
    elif ask:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        return None
    try:
        read_value(argument, password)
    except Refusal as refusal:
        raise click.UsageError(refusal.text) from None
    return str(password)


def output_file(verb: Verb, arguments: dict[str, ArgumentValue]) -> Path | None:
    """Take the file to write out of the arguments: it stays with the asker."""
    for argument in verb.arguments:
        if argument.kind is Kind.OUTPUT:
            name = arguments.pop(argument.name, None)
            return Path(str(name)) if name is not None else None
    return None


def is_local(verb: Verb) -> bool:
    """Whether the verb needs no server."""
    return verb.runs is not Runs.SERVER
