"""The picture of a drill is SVG that stands alone."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from holdfast.lab.outcome import Outcome
from holdfast.lab.timeline import DOWN, WIDTH, draw
from lab.outcomes import BROKEN, PASSED

SVG = "{http://www.w3.org/2000/svg}"
EMPTY = replace(PASSED, ended_s=0.0, marks=(), down=(), letters_per_s={}, doors=())
LONG = replace(PASSED, ended_s=86_400.0)


@pytest.mark.parametrize("outcome", [PASSED, BROKEN, EMPTY, LONG])
def test_it_is_well_formed_and_stays_inside(outcome: Outcome) -> None:
    picture = ElementTree.fromstring(draw(outcome))
    assert picture.tag == f"{SVG}svg"
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    assert width == WIDTH
    for each in picture.iter(f"{SVG}rect"):
        x, y = float(each.get("x", 0)), float(each.get("y", 0))
        assert 0 <= x <= x + float(each.attrib["width"]) <= width + 0.1
        assert 0 <= y <= y + float(each.attrib["height"]) <= height


def test_an_outage_is_where_it_was() -> None:
    picture = ElementTree.fromstring(draw(PASSED))
    (outage,) = [each for each in picture.iter(f"{SVG}rect") if each.get("fill") == DOWN]
    title = outage.find(f"{SVG}title")
    assert title is not None
    assert title.text == "SMTP mail1: does not answer from 10.5 s to 18.6 s"
    left, width = float(outage.attrib["x"]), float(outage.attrib["width"])
    # 790 points for 34 seconds, from 150 on.
    assert left == pytest.approx(150 + 790 * 10.5 / 34, abs=0.1)
    assert width == pytest.approx(790 * 8.1 / 34, abs=0.1)


def test_what_happened_is_written_on_it() -> None:
    texts = [each.text for each in ElementTree.fromstring(draw(PASSED)).iter(f"{SVG}text")]
    assert {"mail1 killed", "mail1 back", "SMTP mail1", "50/s"} <= set(texts)
