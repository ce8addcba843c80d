"""Show a result of the catalogue: as JSON, or as tables and lines for people.

How a field is shown follows from its name: ``_bytes`` as a size, ``_s`` as a
span, ``_at`` as local date and time. A list of structures becomes a table.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from holdfast.kernel.quantities import format_size

if TYPE_CHECKING:
    from rich.console import Console

# Wide enough that nothing is cut when the output goes into a file or a pipe.
PIPE_WIDTH = 10_000
LIST_WIDTH_MAX = 60
# What strangers may write as long as they like widens every row of a table. A message id is typed
# again to look for it, so those that are not made to be long stay whole.
CELL_CHARACTERS_MAX = {"subject": 120, "message_id": 320}


def as_json(result: msgspec.Struct) -> str:
    """The result as JSON, indented, keys in the order of the type."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode()


def show(result: msgspec.Struct) -> None:
    """Print a result for people."""
    values = {name: getattr(result, name) for name in result.__struct_fields__}
    if set(values) == {"data"}:
        _print_data(values["data"])
        return
    if set(values) == {"text"}:
        sys.stdout.write(_printable(str(values["text"]), keep_lines=True))
        return
    drawn = type(result).__name__  # importing the types would cost every other command a little time
    if drawn == "ScopeShown":
        values.pop("ranges")  # drawn, not listed; --json has them
    tables = {name: value for name, value in values.items() if _is_table(value)}
    lines = {name: value for name, value in values.items() if name not in tables and not _says_nothing(value)}
    _print_lines(lines)
    if drawn == "ScopeShown":
        _draw_pool(result)
    elif drawn == "FailoverShown":
        _draw_relationship(result)
    for name, rows in tables.items():
        if rows:
            _print_table(name, rows)
        elif not lines and not any(tables.values()):
            sys.stdout.write(f"no {_words(name)}\n")


def _draw_pool(result: msgspec.Struct) -> None:
    from holdfast.admin.results_dhcp import ScopeShown
    from holdfast.cli.pool_drawing import draw

    assert isinstance(result, ScopeShown)
    sys.stdout.flush()
    draw(result, console())


def _draw_relationship(result: msgspec.Struct) -> None:
    from holdfast.admin.results_dhcp_failover import FailoverShown
    from holdfast.cli.failover_drawing import draw

    assert isinstance(result, FailoverShown)
    sys.stdout.flush()
    draw(result, console())


def _print_data(data: bytes) -> None:
    """A message: byte for byte into a file or pipe, harmless on a terminal."""
    if sys.stdout.isatty():
        text = data.decode("utf-8", "replace").replace("\r\n", "\n")
        sys.stdout.write(_printable(text, keep_lines=True))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and (not value or isinstance(value[0], msgspec.Struct))


def _says_nothing(value: object) -> bool:
    return value is None or value == ""


def _print_lines(lines: dict[str, object]) -> None:
    width = max((len(_words(name)) for name in lines), default=0) + 1
    for name, value in lines.items():
        texts = (
            [_printable(str(each)) for each in value] if isinstance(value, list) else [as_text(name, value)]
        )
        for index, text in enumerate(texts or ["-"]):
            label = f"{_words(name)}:" if index == 0 else ""
            sys.stdout.write(f"{label:<{width}} {text}\n")


def _print_table(title: str, rows: list[msgspec.Struct]) -> None:
    from rich.table import Table
    from rich.text import Text

    names = rows[0].__struct_fields__
    table = Table(title=None, box=None, header_style="bold", pad_edge=False, show_edge=False)
    for name in names:
        number = name.endswith(("_bytes", "_count", "_s")) or name in ("number", "revision", "pid")
        table.add_column(_words(name), justify="right" if number else "left", overflow="fold")
    for row in rows:
        # Text, not markup: a subject like "[bold]" is what a stranger wrote.
        table.add_row(*(Text(_cell(name, getattr(row, name))) for name in names))
    console().print(table)


def _cell(name: str, value: object) -> str:
    text = as_text(name, value)
    characters_max = CELL_CHARACTERS_MAX.get(name, len(text))
    return text if len(text) <= characters_max else f"{text[: characters_max - 1]}…"


def console() -> Console:
    """A console on standard output that cuts nothing in a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, soft_wrap=False)


def as_text(name: str, value: object) -> str:
    """One value for people, shown by what its name says it is."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        texts = [_printable(str(each)) for each in value]
        # Long ones (changes of the change log) read better below each other.
        return ("\n" if sum(map(len, texts)) > LIST_WIDTH_MAX else ", ").join(texts)
    if isinstance(value, int) and name.endswith("_bytes"):
        return format_size(value)
    if isinstance(value, int | float) and (name == "at" or name.endswith("_at")):
        return _moment(value)
    if isinstance(value, int | float) and name.endswith("_s"):
        # "expires in: -1.0d" would be a riddle.
        expired = name == "expires_in_s" and value < 0
        return f"expired {_span(-float(value))} ago" if expired else _span(float(value))
    return _printable(str(value))


def _moment(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(moment)


def _span(span_s: float) -> str:
    if span_s < 0:
        return f"-{_span(-span_s)}"
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60)):
        if span_s >= seconds:
            return f"{span_s / seconds:.1f}{unit}"
    return f"{span_s:g}s" if span_s == int(span_s) else f"{span_s:.1f}s"


def _words(name: str) -> str:
    for unit in ("_bytes", "_count", "_at", "_s"):
        if name.endswith(unit) and len(name) > len(unit):
            name = name.removesuffix(unit)
            if unit == "_count":
                name += "es" if name.endswith(("x", "s")) else "s"
    return name.replace("_", " ")


def _printable(text: str, *, keep_lines: bool = False) -> str:
    """What strangers wrote must not command the terminal."""
    return "".join(each if each.isprintable() or (keep_lines and each in "\n\t") else "�" for each in text)
