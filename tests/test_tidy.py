"""The rules of the house that have a number, and the leftovers that nobody wants to find."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "holdfast"
MODULE_LINES_MAX = 600
FUNCTION_CODE_LINES_MAX = 70
PARAMETERS_MAX = 6
KERNEL_FILES_MAX = 10
BANNED_NAMES = {"utils", "helpers", "common", "misc", "util"}
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|breakpoint\(\)|import pdb")
# An exception from a linter carries its reason after the code.
BARE_EXCEPTION = re.compile(r"#\s*type:\s*ignore(\[[\w, -]+\])?\s*$|#\s*noqa\s*(:[\w, ]+)?$")

MODULES = sorted(SOURCE.rglob("*.py"))
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES + TEST_FILES, ids=name_of)
def test_module_is_short_enough(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES_MAX


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, source: list[str]) -> int:
    """Lines of a function that are code: no docstring, blank or comment lines."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    skipped = range(first.lineno, (first.end_lineno or first.lineno) + 1) if documented else range(0)
    count = 0
    for number in range(function.lineno, (function.end_lineno or function.lineno) + 1):
        text = source[number - 1].strip()
        if number not in skipped and text and not text.startswith("#"):
            count += 1
    return count


def parameter_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = function.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_fit_a_screen(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    source = text.splitlines()
    too_big = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if code_lines(node, source) > FUNCTION_CODE_LINES_MAX:
                too_big.append(f"{node.name} has {code_lines(node, source)} code lines")
            if parameter_count(node) > PARAMETERS_MAX:
                too_big.append(f"{node.name} has {parameter_count(node)} parameters")
    assert not too_big, too_big


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_has_a_docstring_and_a_test_file(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a module says what it decides, its invariant and its source"
    if path.name in ("__init__.py", "__main__.py"):
        assert len(tree.body) == 1, "an __init__.py holds its docstring only"
        return
    expected = ROOT / "tests" / path.relative_to(SOURCE).parent / f"test_{path.name}"
    assert expected.exists(), f"{name_of(expected)} is missing"
    assert path.stem not in BANNED_NAMES


@pytest.mark.parametrize("path", [p for p in MODULES + TEST_FILES if p.name != "test_tidy.py"], ids=name_of)
def test_no_leftovers(path: Path) -> None:
    found = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if LEFTOVER.search(line) or BARE_EXCEPTION.search(line)
    ]
    assert not found, found


@pytest.mark.parametrize("path", TEST_FILES, ids=name_of)
def test_tests_never_sleep_and_never_assert_on_calls(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name != "test_tidy.py":
        assert "time.sleep(" not in text
        assert "assert_called" not in text


def test_kernel_stays_small() -> None:
    assert len([p for p in (SOURCE / "kernel").glob("*.py") if p.name != "__init__.py"]) <= KERNEL_FILES_MAX


def test_no_place_of_this_machine_and_no_index_in_the_repository() -> None:
    patterns = re.compile(
        rb"pypi\.org|files\.pythonhosted|registry\.npmjs|--index-url|--extra-index|find-links|/root/|/home/[a-z]+/\w"
    )
    found = []
    for path in tracked_files():
        if path.name in ("test_tidy.py", "Makefile", "pyproject.toml"):
            continue
        if match := patterns.search(path.read_bytes()):
            found.append(f"{name_of(path)}: {match[0]!r}")
    assert not found, found


def test_every_pinned_requirement_has_a_hash() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-compile.txt"):
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        pins = [line for line in text.splitlines() if re.match(r"[a-z0-9].*==", line)]
        assert pins
        assert all("--hash=sha256:" in pin for pin in pins)


def test_declared_dependencies_are_the_pinned_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=]", each)[0] for each in project["dependencies"]}
    wanted = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    assert declared | {"setuptools"} == {line for line in wanted if line and not line.startswith("#")}


RFC_SECTION = r"\d+(?:\.\d+)*"
RFC_SECTIONS = rf"{RFC_SECTION}(?:(?:, and |, | and | to ){RFC_SECTION})*"
RFC_MENTION = re.compile(rf"\bRFC[ -]?(\d{{4,5}})\b(?: sections? ({RFC_SECTIONS})| (\d+(?:\.\d+)+))?")
RFC_JUDGEMENT = re.compile(r"yes(: .+)?|(partial|no|planned): .+")


def rfc_mentions(text: str) -> set[tuple[str, str]]:
    """Tables and sections that a module names; ``all`` where it names no section."""
    text = re.sub(r"\s+", " ", re.sub(r"\n\s*#", "\n", text))
    return {
        (f"rfc{match[1]}", section)
        for match in RFC_MENTION.finditer(text)
        for section in re.findall(RFC_SECTION, match[2] or match[3] or "") or ["all"]
    }


def rfc_index_faults(index: dict[str, dict[str, str]], mentions: set[tuple[str, str]]) -> list[str]:
    """Where the index of standards and the code disagree."""
    faults = []
    for table, section in sorted(mentions):
        judgement = index.get(table, {}).get(section, "")
        if table not in index:
            faults.append(f"{table} has no table")
        elif not judgement and section != "all":
            faults.append(f"{table} {section} is named in the code and not in the index")
        elif judgement.startswith(("no:", "planned:")):
            faults.append(f"{table} {section} is named in the code, the index says {judgement!r}")
    for table, sections in index.items():
        named = {section for rfc, section in mentions if rfc == table}
        for section, judgement in sections.items():
            modules = re.findall(r"[a-z_]+/[a-z_]+\.py", judgement)
            known = (
                any(each == section or each.startswith(section + ".") for each in named)
                or section.rpartition(".")[0] in named
                or (section == "all" and bool(named))
            )
            if section == "title":
                continue
            if not RFC_JUDGEMENT.fullmatch(judgement) or not re.fullmatch(rf"all|{RFC_SECTION}", section):
                faults.append(f"{table} {section} is malformed: {judgement!r}")
            elif not all((SOURCE / module).exists() for module in modules):
                faults.append(f"{table} {section} names a module that does not exist")
            elif judgement.startswith(("yes", "partial")) and not known and not modules:
                faults.append(f"{table} {section} is named by no module, and the index names none")
    return faults


def test_rfc_index_and_code_agree() -> None:
    index = tomllib.loads((ROOT / "docs" / "rfc-index.toml").read_text(encoding="utf-8"))
    mentions = set().union(*(rfc_mentions(path.read_text(encoding="utf-8")) for path in MODULES))
    assert all(table.get("title") for table in index.values())
    assert rfc_index_faults(index, mentions) == []


def test_rfc_index_can_disagree() -> None:
    mentions = rfc_mentions("# RFC 5321 section\n    # 5.1 and 7.3; RFC 1870\n")
    assert mentions == {("rfc5321", "5.1"), ("rfc5321", "7.3"), ("rfc1870", "all")}
    index = {"rfc5321": {"title": "SMTP", "5.1": "planned: later", "6.1": "yes", "6.2": "perhaps"}}
    assert [fault.split()[:2] for fault in rfc_index_faults(index, mentions)] == [
        ["rfc1870", "has"], ["rfc5321", "5.1"], ["rfc5321", "7.3"], ["rfc5321", "6.1"], ["rfc5321", "6.2"],
    ]  # fmt: skip
