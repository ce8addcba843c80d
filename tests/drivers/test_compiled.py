"""Compiled code is used when it was made from these very sources, and never in another case."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from holdfast.drivers.compiled import LIST, MODULES, PACKAGE, PLAIN, digest_of_sources, prefer_compiled

SUFFIX = EXTENSION_SUFFIXES[0]
FIRST = "holdfast.dhcp.offers"


def compiled(directory: Path, **changed: object) -> Path:
    """A folder as compiling leaves it; its modules hold no code."""
    made = {"suffix": SUFFIX, "sources": digest_of_sources(), "modules": [FIRST]} | changed
    (directory / LIST).write_text(json.dumps(made), "utf-8")
    (directory / "holdfast" / "dhcp").mkdir(parents=True)
    (directory / f"holdfast/dhcp/offers{SUFFIX}").write_bytes(b"no code")
    return directory


def in_a_process(program: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sources": "0"}, "the sources changed since it was compiled"),
        ({"suffix": ".cpython-27.so"}, "it was compiled for another Python (.cpython-27.so)"),
        ({"modules": ["holdfast.drivers.compiled"]}, "holdfast.drivers.compiled was"),
        ({"modules": ["holdfast.dhcp.nowhere"]}, "is missing"),
        ({"modules": None}, "cannot be read"),
    ],
)
def test_what_does_not_fit_is_left_alone(tmp_path: Path, changed: dict[str, object], reason: str) -> None:
    before = list(sys.meta_path)
    assert reason in prefer_compiled(FIRST, directory=compiled(tmp_path, **changed))
    assert sys.meta_path == before


def test_what_is_not_there_or_not_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prefer_compiled(FIRST, directory=tmp_path) == "nothing was compiled"
    (tmp_path / LIST).write_text("{", "utf-8")
    assert "cannot be read" in prefer_compiled(FIRST, directory=tmp_path)
    monkeypatch.setenv(PLAIN, "1")
    assert prefer_compiled(FIRST, directory=compiled(tmp_path)) == "HOLDFAST_PLAIN_PYTHON is set"


def test_code_that_cannot_be_loaded_makes_way_for_plain_python(tmp_path: Path) -> None:
    # A module that was added and derives from a compiled class without being compiled fails like this, too.
    program = """
import pathlib, sys
from holdfast.drivers.compiled import prefer_compiled
print(prefer_compiled("holdfast.dhcp.choice", directory=pathlib.Path(sys.argv[1])))
import holdfast.dhcp.choice, holdfast.dhcp.offers
print(holdfast.dhcp.offers.__file__)
"""
    reason, file = in_a_process(program, str(compiled(tmp_path))).splitlines()
    assert reason.startswith("it cannot be loaded: ")
    assert file == str(PACKAGE / "dhcp" / "offers.py")


def test_the_digest_tells_every_change_of_a_source_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "dhcp").mkdir()
    source = tmp_path / "dhcp" / "a.py"
    source.write_text("one", "utf-8")
    seen = [digest_of_sources(tmp_path)]
    source.write_text("two", "utf-8")
    seen.append(digest_of_sources(tmp_path))
    source.rename(tmp_path / "dhcp" / "b.py")
    seen.append(digest_of_sources(tmp_path))
    assert len(set(seen)) == 3
    (tmp_path / "dhcp" / "notes.txt").write_text("", "utf-8")
    assert digest_of_sources(tmp_path) == seen[-1]


def test_each_module_is_there_and_no_room_but_those_that_are_watched() -> None:
    for name in MODULES:
        room = name.split(".")[1]
        assert room in ("wire", "dhcp", "transport", "node", "drivers"), name
        assert (PACKAGE.parent / f"{name.replace('.', '/')}.py").is_file(), name


def test_what_is_not_compiled_derives_from_nothing_that_is() -> None:
    # mypyc finds it only when the first object of such a class is made.
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(("holdfast", *path.relative_to(PACKAGE).with_suffix("").parts))
        if name in MODULES:
            continue
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        compiled_names = {
            alias.asname or alias.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module in MODULES
            for alias in node.names
        }
        found += [
            f"{name}.{node.name}"
            for node in nodes
            if isinstance(node, ast.ClassDef)
            and compiled_names & {ast.unparse(base).partition("[")[0] for base in node.bases}
        ]
    assert found == []


PLAIN_CLASSES = '''from dataclasses import dataclass, field

@dataclass(slots=True)
class Made:
    """Made per message."""

    number: int
    names: list[str] = field(default_factory=list)
    checked: bool = field(default=False, compare=False)

    def line(self) -> int:
        raise AssertionError


@dataclass(frozen=True, slots=True)
class Kept:
    number: int


@dataclass(slots=True)
class Base:
    number: int


@dataclass(slots=True)
class Derived(Base):
    name: str = ""


'''


def test_dataclasses_are_compiled_with_their_init_and_are_what_they_were() -> None:
    path = PACKAGE.parent.parent / "packaging" / "compile.py"
    spec = importlib.util.spec_from_file_location("packaging_compile", path)
    assert spec is not None
    assert spec.loader is not None
    packaging = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packaging)
    written = packaging.with_initialisers(PLAIN_CLASSES, {"Base"})
    assert written.count("\n") == PLAIN_CLASSES.count("\n")  # so that tracebacks name the right line
    assert written.count("init=False") == 1
    names: dict[str, type] = {"__name__": __name__}  # type: ignore[dict-item]  # what exec needs besides classes
    exec(written, names)
    made = names["Made"]
    assert made(1) == made(number=1, names=[], checked=True)
    assert made(1).names is not made(1).names
    assert made(1, ["a"]) != made(1)
    assert repr(made(2, ["a"])) == "Made(number=2, names=['a'], checked=False)"
