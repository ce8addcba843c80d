"""Compile the rooms that are asked most: ``make compiled``, or this with the Python that runs Holdfast.

Needs a C compiler, Python's header files and mypy (requirements-compile.txt);
says what is missing. What it writes is used by the next start of the role. Why,
and what it gains: docs/decisions/0024.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from holdfast.drivers.compiled import DIRECTORY, LIST, MODULES, PACKAGE, digest_of_sources

GROUP = "holdfast_compiled"  # the module that has the code of all; theirs are doors to it


def obstacle() -> str:
    """Why nothing can be compiled here; empty when it can."""
    compiler = os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler}): apt-get install gcc"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        return f"{header} is missing: apt-get install python3-dev"
    if importlib.util.find_spec("mypyc") is None:
        return "mypy is not installed: pip install --require-hashes -r requirements-compile.txt"
    return ""


def build(target: Path) -> None:
    """Compile into a folder that is there already."""
    from mypyc.build import mypycify
    from setuptools import setup

    sources = digest_of_sources()
    with tempfile.TemporaryDirectory(prefix="holdfast-compile-") as scratch:
        # mypy finds the sources from here: a copy, for it takes none of site-packages.
        ignored = shutil.ignore_patterns("__pycache__", DIRECTORY.name, f"{DIRECTORY.name}.new")
        shutil.copytree(PACKAGE, f"{scratch}/holdfast", ignore=ignored)
        os.chdir(scratch)
        paths = [f"{name.replace('.', '/')}.py" for name in MODULES]
        extensions = mypycify(
            ["--config-file=", f"--cache-dir={scratch}/mypy", "--ignore-missing-imports", *paths],
            opt_level="3", debug_level="0", group_name=GROUP, target_dir=f"{scratch}/c",
        )  # fmt: skip
        setup(
            name="holdfast-compiled",
            packages=[],
            ext_modules=extensions,
            script_args=["-q", "build_ext", f"--build-lib={target}", f"--build-temp={scratch}/o"],
        )
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    names = sorted(
        ".".join(path.relative_to(target).parts).removesuffix(suffix) for path in target.rglob(f"*{suffix}")
    )
    made = {"suffix": suffix, "sources": sources, "modules": names}
    (target / LIST).write_text(json.dumps(made, indent=1) + "\n", "utf-8")


def main() -> int:
    """Compile, or say why not."""
    reason = obstacle()
    if reason:
        print(f"nothing is compiled: {reason}", file=sys.stderr)
        return 1
    fresh = DIRECTORY.with_name(f"{DIRECTORY.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    build(fresh)
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    fresh.rename(DIRECTORY)
    print(f"compiled: {DIRECTORY}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
