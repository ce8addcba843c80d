"""What a partner goes by."""

from __future__ import annotations

from holdfast.dhcp.failover_settings import Settings


def test_the_name_is_the_same_bytes_on_both_sides() -> None:
    assert Settings("büro", primary=True, partner="10.0.0.2").name == "büro".encode()


def test_the_defaults_are_windows_and_ours() -> None:
    settings = Settings("office", primary=True, partner="10.0.0.2")
    assert (settings.port, settings.mclt_s, settings.split_count) == (647, 3600, 128)
    assert settings.switch_over_s is None
