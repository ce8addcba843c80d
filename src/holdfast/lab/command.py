"""``holdfast lab …``: the verbs of the lab on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from holdfast.kernel.errors import Refusal
from holdfast.lab.laboratory import Lab, MachineState
from holdfast.lab.network import Cut
from holdfast.lab.sheet import FILE_CHARACTERS_MAX

Value = str | int | float | bool | list[str] | None


def main(verb: str, given: Mapping[str, Value], *, as_json: bool) -> int:
    """Do one verb of the lab.

    Args:
        verb: as in ``holdfast lab VERB``.
        given: its arguments, checked.
        as_json: print JSON instead of text.

    Returns:
        The exit code.

    Raises:
        Refusal: it is not done; the text says why.
        Unavailable: something outside failed.
    """
    lab = Lab(Path(str(given["state"])))
    output = _Output(as_json)
    if verb == "status":
        output.status(lab)
    elif verb == "exec":
        command = given["command"]
        assert isinstance(command, list)
        words, environment = lab.exec_command(str(given["server"]), tuple(command))
        sys.stdout.flush()
        try:
            os.execvpe(words[0], words, environment)  # noqa: S606  # the administrator's own command
        except OSError as error:
            raise Refusal(f"cannot run {words[0]}: {error.strerror}") from None
    else:
        with lab.alone():
            _change(lab, verb, given, output)
    return 0


def _change(lab: Lab, verb: str, given: Mapping[str, Value], output: _Output) -> None:
    one, other = str(given.get("one") or ""), str(given.get("other") or "")
    server = str(given.get("server") or "")
    match verb:
        case "up":
            file = given["file"]
            text = None if file is None else read_text(str(file))
            lab.up(text, str(file or "the sheet"), loopback=given["loopback"] is True, say=output.step)
            output.status(lab)
        case "down":
            output.done("down", process_count=lab.down())
        case "start":
            lab.start(server, output.step)
            output.status(lab)
        case "kill":
            output.done(f"{server} killed", process_count=lab.kill(server))
        case "freeze":
            output.done(f"{server} frozen", process_count=lab.freeze(server))
        case "thaw":
            output.done(f"{server} goes on", process_count=lab.thaw(server))
        case "cut":
            output.cuts("cut", lab.cut(one, other, one_way=given["one-way"] is True))
        case "heal":
            output.cuts("healed", lab.heal(one, other))
        case _:
            raise AssertionError(verb)


def read_text(name: str) -> str:
    """Read a LAB.csv.

    Raises:
        Refusal: it cannot be read as text.
    """
    try:
        # One character more than allowed is enough to know: /dev/zero has no end.
        with Path(name).open(encoding="utf-8") as stream:
            return stream.read(FILE_CHARACTERS_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise Refusal(f"cannot read {name}: {reason}") from None


class _Output:
    """Prints results as text or as JSON, and steps on standard error."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def step(self, text: str) -> None:
        sys.stderr.write(f"  {text}\n")
        sys.stderr.flush()

    def status(self, lab: Lab) -> None:
        states, cuts = lab.status(), lab.kept.cuts
        if self._as_json:
            self._json(
                {
                    "state": str(lab.state),
                    "loopback": lab.kept.loopback,
                    "servers": [asdict(each) for each in states],
                    "cuts": [{"source": source, "target": target} for source, target in cuts],
                }
            )
            return
        sys.stdout.write(table(("name", "site", "address", "state", "processes", "home"), _rows(states)))
        for source, target in cuts:
            sys.stdout.write(f"cut: {_cut_words(Cut(source, target))}\n")

    def done(self, text: str, *, process_count: int) -> None:
        if self._as_json:
            self._json({"done": text, "process_count": process_count})
        else:
            sys.stdout.write(f"{text}: {process_count} processes\n")

    def cuts(self, text: str, cuts: tuple[Cut, ...]) -> None:
        if self._as_json:
            self._json({"done": text, "cuts": [asdict(each) for each in cuts]})
        else:
            words = "; ".join(_cut_words(each) for each in cuts)
            sys.stdout.write(f"{text}: {words or 'nothing'}\n")

    @staticmethod
    def _json(value: object) -> None:
        sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _cut_words(cut: Cut) -> str:
    return f"{cut.source or 'everybody'} -> {cut.target or 'everybody'}"


def _rows(states: tuple[MachineState, ...]) -> list[tuple[str, ...]]:
    return [
        (each.name, each.site, each.address, each.state, str(each.process_count), each.home)
        for each in states
    ]


def table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows below titles, in columns as wide as what is in them."""
    lines = [titles, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(titles))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )
