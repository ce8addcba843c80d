"""Reports speak the sender's language, by built-in words or the administrator's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.directory.checks_settings import DSN_OCCASIONS
from holdfast.directory.model import DsnText
from holdfast.transport.dsn_texts import (
    BUILT_IN_LANGUAGES,
    LANGUAGE_COUNT_MAX,
    choose_words,
    read_languages,
)

# exchange-behaviour QU-10, and what routing and next hops say besides.
STATUSES = (
    *("4.3.1", "4.4.1", "4.4.2", "4.4.7", "4.2.2", "4.9.99"),
    *("5.1.1", "5.1.2", "5.1.3", "5.1.10", "5.1.8", "5.2.1", "5.2.2", "5.2.3", "5.3.4", "5.4.4", "5.4.6"),
    *("5.5.3", "5.6.0", "5.7.1", "5.7.27", "5.0.0"),
)


@pytest.mark.parametrize("language", BUILT_IN_LANGUAGES)
def test_every_language_says_everything_in_its_own_words(language: str) -> None:
    words, english = choose_words([language], ()), choose_words(["en"], ())
    actions = ("failed", *DSN_OCCASIONS)
    frames = [f"subject {action}" for action in actions] + [*actions, "until", "subject", "sent"]
    texts = [words.frame(name) for name in frames]
    texts += [words.explanation("failed", status) for status in STATUSES]
    texts += [words.explanation(action, "2.0.0") for action in DSN_OCCASIONS]
    texts.append(words.explanation("failed", "5.3.0", ours=True))
    assert all(texts)
    assert not any(re.search(r"  |\s$", text) for text in texts)
    assert all("{}" in words.frame(f"subject {action}") for action in actions)
    if language != "en":
        assert texts[-1] != english.explanation("failed", "5.3.0", ours=True)
        for status in STATUSES:
            assert words.explanation("failed", status) != english.explanation("failed", status)


def test_the_narrowest_text_is_taken_and_the_administrators_first() -> None:
    own = (
        DsnText("de 5", "alles"),
        DsnText("de 5.1.1", "genau"),
        DsnText("de-AT 5.2.2", "in Wien"),
        DsnText("en delayed", "wait"),
        DsnText("nl 5.1.1", "geen adres"),
    )
    german = choose_words(["de"], own)
    assert german.explanation("failed", "5.1.1") == "genau"
    assert german.explanation("failed", "5.2.2") == "alles"
    assert german.explanation("failed", "5.3.0", ours=True) == "alles"
    assert german.explanation("failed", "4.4.7").startswith("Es wurde lange")
    assert german.explanation("delayed", "4.4.7").startswith("Der Server")
    austrian = choose_words(["de-AT"], own)
    assert austrian.explanation("failed", "5.2.2") == "in Wien"
    assert austrian.explanation("failed", "5.1.1") == "genau"
    assert austrian.frame("failed").startswith("Ihre")
    assert choose_words(["en"], own).explanation("delayed", "4.0.0") == "wait"
    dutch = choose_words(["nl-BE"], own)
    assert (dutch.language, dutch.explanation("failed", "5.1.1")) == ("nl-BE", "geen adres")
    # What nobody has written in Dutch is said in English.
    assert dutch.explanation("failed", "5.2.2").startswith("The recipient's mailbox")
    assert dutch.frame("failed").startswith("Your message")


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        (["", "xx", "fr-CA", "de"], "fr-CA"),
        (["DE"], "DE"),
        (["xx"], "en"),
        ([], "en"),
    ],
)
def test_the_first_language_that_is_known(wanted: list[str], language: str) -> None:
    assert choose_words(wanted, ()).language == language


@pytest.mark.parametrize(
    ("value", "languages"),
    [
        ("de", ["de"]),
        ("en;q=0.5, de-AT, fr; q=0.7", ["de-AT", "fr", "en"]),
        ("de;q=0, en", ["en"]),
        ("", []),
        ("*, i-klingon-, 12, de;q=x", []),
        ("de (German), en", ["en"]),
        (",".join(["de"] * 5000), ["de"] * LANGUAGE_COUNT_MAX),
    ],
)
def test_language_fields(value: str, languages: list[str]) -> None:
    assert read_languages(value) == languages


@given(st.text(max_size=100))
def test_any_language_field_is_read(value: str) -> None:
    choose_words(read_languages(value), ()).explanation("failed", "5.1.1")
