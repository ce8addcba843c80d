"""The picture of a run."""

from __future__ import annotations

from xml.etree import ElementTree

from holdfast.sim.run import simulate
from holdfast.sim.scenario import load_scenario
from holdfast.sim.timeline import Timeline

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*lines: str, failure: str | None = None) -> ElementTree.Element:
    timeline = Timeline()
    for line in lines:
        timeline.listen(line)
    return ElementTree.fromstring(timeline.draw("a <run>", failure))


def texts(picture: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


def titles(picture: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}title")]


def test_a_process_is_up_from_its_start_to_its_death() -> None:
    picture = drawn(
        "      0.000000 transport hub1 starts, incarnation 1",
        "      5.000000 fault: transport hub1 dies",
        "      6.000000 transport hub1 starts, incarnation 2",
        "      8.000000 transport hub1 stops cleanly",
        "     10.000000 the end",
    )
    widths = [float(bar.attrib["width"]) for bar in picture.iter(f"{SVG}rect") if "x" in bar.attrib]
    assert widths == [550.0, 220.0]  # of 1100: half, and a fifth
    assert "transport hub1" in texts(picture)
    assert titles(picture) == ["5.000 s: dies"]


def test_troubles_end_when_faults_stop_and_instants_are_marked() -> None:
    picture = drawn(
        "      0.000000 fault: hub1 and hub2 parted for 100.000 s, both ways",
        "      1.000000 fault: queue disk hub1 is full for 1.000 s",
        "      2.000000 fault: the clock of hub2 jumps by 7.000 s",
        "      5.000000 faults stop",
        "     10.000000 the end",
    )
    widths = [float(bar.attrib["width"]) for bar in picture.iter(f"{SVG}rect") if "x" in bar.attrib]
    assert widths == [550.0, 110.0]
    assert {"hub1 and hub2 parted", "queue disk hub1 is full", "other faults"} <= set(texts(picture))
    assert "2.000 s: the clock of hub2 jumps by 7.000 s" in titles(picture)
    assert "faults stop" in titles(picture)


def test_a_letter_lives_until_the_last_mailbox_has_it() -> None:
    picture = drawn(
        "      1.000000 198.51.100.1 has L0-0 for a@example.test 10:abcdef",
        "      2.000000 198.51.100.1 reads 250 for L0-0",
        "      3.000000 store disk hub1 stores L0-0",
        "      4.000000 store disk hub1 stores nobody",
        "      4.000000 something else",
        "no line of a trace",
        failure="a promise was <broken>",
    )
    assert "L0-0" in texts(picture)
    assert titles(picture) == ["2.000 s: 250 was read", "3.000 s: stored on store disk hub1", "violation"]
    assert "a promise was <broken>" in texts(picture)


def test_whole_runs_can_be_drawn() -> None:
    for scenario in ("plug-pull-pair", "relay"):
        timeline = Timeline()
        result = simulate(1, load_scenario(scenario), listener=timeline.listen)
        picture = ElementTree.fromstring(timeline.draw(scenario, result.failure))
        assert sum(text.startswith("L") for text in texts(picture)) == result.letter_count
    assert ElementTree.fromstring(Timeline().draw("nothing", None)) is not None
