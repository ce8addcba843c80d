"""Compile the rooms that are asked most: ``make compiled``, or this with the Python that runs Holdfast.

Needs a C compiler, Python's header files and mypy (requirements-compile.txt);
says what is missing. What it writes is used by the next start of the role. Why,
and what it gains: docs/decisions/0024.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from holdfast.drivers.compiled import DIRECTORY, GROUPS, LIST, PACKAGE, digest_of_sources

# More than this makes nothing that a message of mail needs quicker, only larger.
OPTIMISED = {"dhcp": "3", "mail": "1"}
# What hardly ever happens is put elsewhere, so that the processor's cache holds the rest; nothing is looked
# up by name that is in the same file: some 9 % of what a message costs transport (docs/decisions/0013).
LAID_OUT = (
    "-freorder-blocks-and-partition",
    "-freorder-functions",
    "-fno-semantic-interposition",
    "-fvisibility=hidden",
    "-fno-plt",
)


def _compiler() -> str:
    return os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]


def accepted_by_compiler(words: tuple[str, ...]) -> list[str]:
    """Those of these settings that the compiler knows: gcc and clang differ."""
    probe = ["-Werror", "-x", "c", "-c", os.devnull, "-o", os.devnull]
    return [
        word
        for word in words
        if not subprocess.run([_compiler(), word, *probe], capture_output=True, check=False).returncode  # noqa: S603
    ]


def obstacle() -> str:
    """Why nothing can be compiled here; empty when it can."""
    if shutil.which(_compiler()) is None:
        return f"there is no C compiler ({_compiler()}): apt-get install gcc"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        return f"{header} is missing: apt-get install python3-dev"
    if importlib.util.find_spec("mypyc") is None:
        return "mypy is not installed: pip install --require-hashes -r requirements-compile.txt"
    return ""


def with_initialisers(source: str, derived_from: set[str]) -> str:
    """Write out the ``__init__`` of dataclasses, so that it is compiled: else Python code makes the objects.

    That takes 1 µs in place of 0.1. Lines keep their numbers: it goes into the first of the two empty lines
    behind the class. Left as they are: classes that are frozen (nothing of theirs may be set), derive from
    others or others from them (``derived_from``), or have an ``__init__`` or ``__post_init__`` of their own.
    """
    lines = source.split("\n")
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef) or node.bases or node.name in derived_from:
            continue
        decorator = _dataclass_of(node)
        if decorator is not None:
            parameters, sets = _fields_of(node)
            assert node.end_lineno is not None
            assert not lines[node.end_lineno].strip(), f"line {node.end_lineno + 1} is to be empty"
            words = ", ".join(("self", *parameters))
            lines[node.end_lineno] = f"    def __init__({words}) -> None: {'; '.join(sets)}"
            at = decorator.lineno - 1
            lines[at] = lines[at].replace("@dataclass(", "@dataclass(init=False, ")
            assert "init=False" in lines[at], f"line {at + 1} is to say @dataclass(…)"
    return "\n".join(lines)


def _dataclass_of(node: ast.ClassDef) -> ast.Call | None:
    """The decorator of a dataclass whose ``__init__`` can be written out."""
    own = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    if own & {"__init__", "__post_init__"}:
        return None
    for each in node.decorator_list:
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "dataclass":
            settings = {keyword.arg: ast.unparse(keyword.value) for keyword in each.keywords}
            return None if settings.get("frozen") == "True" else each
    return None


def _fields_of(node: ast.ClassDef) -> tuple[list[str], list[str]]:
    """The parameters of a dataclass's ``__init__``, and the statements that set its fields."""
    parameters, sets = [], []
    for each in node.body:
        if not isinstance(each, ast.AnnAssign):
            continue
        assert isinstance(each.target, ast.Name)
        name, kind, value = each.target.id, ast.unparse(each.annotation), each.value
        settings = {}
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "field":
            settings = {keyword.arg: ast.unparse(keyword.value) for keyword in value.keywords}
            assert settings.keys() <= {"default", "default_factory", "compare", "repr"}, name
            value = None
        if "default_factory" in settings:
            parameters.append(f"{name}: {kind} | None = None")
            sets.append(f"self.{name} = {settings['default_factory']}() if {name} is None else {name}")
            continue
        default = settings.get("default", "" if value is None else ast.unparse(value))
        parameters.append(f"{name}: {kind}" + (f" = {default}" if default else ""))
        sets.append(f"self.{name} = {name}")
    return parameters, sets


def build(group: str, target: Path) -> None:
    """Compile the modules of one group into a folder that is there already."""
    from mypyc.build import mypycify
    from setuptools import setup

    with tempfile.TemporaryDirectory(prefix="holdfast-compile-") as scratch:
        # mypy finds the sources from here: a copy, for it takes none of site-packages.
        ignored = shutil.ignore_patterns("__pycache__", DIRECTORY.name, f"{DIRECTORY.name}.new")
        shutil.copytree(PACKAGE, f"{scratch}/holdfast", ignore=ignored)
        os.chdir(scratch)
        paths = [f"{name.replace('.', '/')}.py" for name in GROUPS[group]]
        sources = {Path(path): Path(path).read_text("utf-8") for path in paths}
        derived_from = {
            ast.unparse(base)
            for source in sources.values()
            for node in ast.parse(source).body
            if isinstance(node, ast.ClassDef)
            for base in node.bases
        }
        for path, source in sources.items():
            path.write_text(with_initialisers(source, derived_from), "utf-8")
        extensions = mypycify(
            ["--config-file=", f"--cache-dir={scratch}/mypy", "--ignore-missing-imports", *paths],
            opt_level=OPTIMISED[group], debug_level="0", group_name=f"holdfast_{group}",
            target_dir=f"{scratch}/c",
        )  # fmt: skip
        laid_out = accepted_by_compiler(LAID_OUT)
        for extension in extensions:  # which share one list
            extension.extra_compile_args = [*extension.extra_compile_args, *laid_out]
        setup(
            name="holdfast-compiled",
            packages=[],
            ext_modules=extensions,
            script_args=["-q", "build_ext", f"--build-lib={target}", f"--build-temp={scratch}/o"],
        )


def build_all(target: Path) -> bool:
    """Compile all groups, each in a process of its own and all at once; whether that went well."""
    sources = digest_of_sources()
    words = (sys.executable, __file__)
    processes = [
        subprocess.Popen([*words, group, str(target)])  # noqa: S603  it is ourselves; no shell is in between
        for group in GROUPS
    ]
    exit_codes = [process.wait() for process in processes]
    if any(exit_codes):
        return False
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    names = sorted(
        ".".join(path.relative_to(target).parts).removesuffix(suffix) for path in target.rglob(f"*{suffix}")
    )
    made = {"suffix": suffix, "sources": sources, "modules": names}
    (target / LIST).write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    return True


def main() -> int:
    """Compile, or say why not."""
    if len(sys.argv) == 3:
        build(sys.argv[1], Path(sys.argv[2]))
        return 0
    reason = obstacle()
    if reason:
        print(f"nothing is compiled: {reason}", file=sys.stderr)
        return 1
    fresh = DIRECTORY.with_name(f"{DIRECTORY.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    if not build_all(fresh):
        return 1
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    fresh.rename(DIRECTORY)
    print(f"compiled: {DIRECTORY}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
