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
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from holdfast.drivers.compiled import DIRECTORY, GROUPS, LIST, PACKAGE, digest_of_sources

# What a message of mail costs is hardly less with more than this, and compiling takes three times as long.
OPTIMISED = {"dhcp": "3", "mail": "1"}


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
        extensions = mypycify(
            ["--config-file=", f"--cache-dir={scratch}/mypy", "--ignore-missing-imports", *paths],
            opt_level=OPTIMISED[group], debug_level="0", group_name=f"holdfast_{group}",
            target_dir=f"{scratch}/c",
        )  # fmt: skip
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
