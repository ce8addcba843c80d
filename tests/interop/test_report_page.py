"""The report of a drill in a real browser: it is laid out, nothing is loaded, and a picture of it is kept."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.lab.drill_command import write_report
from lab.outcomes import BROKEN, PASSED

pytestmark = pytest.mark.interop

WIDTH, HEIGHT = 1100, 1700
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
# Where CI finds pictures to look at.
KEPT = Path(os.environ.get("HOLDFAST_BUILD_OUTPUT") or Path(__file__).parent.parent.parent / "build")


@pytest.fixture
def browse(peer: Callable[[str], str], tmp_path: Path) -> Callable[..., str]:
    """Run Debian's chromium on a page, with a profile that is thrown away."""
    program = peer("chromium")

    def run(page: Path, *words: str) -> str:
        own = (f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={WIDTH},{HEIGHT}")
        done = subprocess.run(
            [program, *QUIET, *own, *words, page.as_uri()],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def png_size(data: bytes) -> tuple[int, int]:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


@pytest.mark.parametrize("name", ["passed", "broken"])
def test_the_page_is_shown(browse: Callable[..., str], tmp_path: Path, name: str) -> None:
    outcome = {"passed": PASSED, "broken": BROKEN}[name]
    write_report(outcome, tmp_path / "report")
    page = tmp_path / "report" / "report.html"

    # The browser's own view of the page after it was laid out.
    document = browse(page, "--dump-dom")
    assert outcome.headline in document
    assert document.count("<svg") == 1
    assert len(re.findall(r"<rect\b", document)) > 40

    KEPT.mkdir(parents=True, exist_ok=True)
    shot = KEPT / f"drill-report-{name}.png"
    shot.unlink(missing_ok=True)
    browse(page, f"--screenshot={shot}")
    data = shot.read_bytes()
    assert png_size(data) == (WIDTH, HEIGHT)
    # An empty page of this size has a few kilobytes.
    assert len(data) > 40_000
