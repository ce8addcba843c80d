"""What a partner goes by."""

from __future__ import annotations

from holdfast.dhcp.failover_settings import Settings


def test_the_name_is_the_same_bytes_on_both_sides() -> None:
    assert Settings("büro", primary=True, partner="10.0.0.2").name == "büro".encode()


def test_the_defaults_are_windows_and_ours() -> None:
    settings = Settings("office", primary=True, partner="10.0.0.2")
    assert (settings.port, settings.mclt_s, settings.split_count) == (647, 3600, 128)
    assert settings.switch_over_s is None


def test_scopes_that_have_to_wait_are_left_out() -> None:
    settings = Settings(
        "office", primary=True, partner="10.0.0.2", scopes=("a", "b"), spans=((1, 5), (6, 9))
    )  # fmt: skip
    assert settings.without([]) == settings
    assert (settings.without([(1, 5)]).scopes, settings.without([(1, 5)]).spans) == (("b",), ((6, 9),))
