"""The settings of the whole organisation."""

from __future__ import annotations

from holdfast.directory.kinds import settings_of
from holdfast.directory.model import Organisation, OrganisationSettings


def test_an_organisation_has_all_of_them() -> None:
    of_all = {each.attribute for each in settings_of(Organisation)}
    assert of_all == {each.attribute for each in settings_of(OrganisationSettings)}
    assert "revision" not in of_all


def test_retries_are_those_of_exchange() -> None:
    settings = OrganisationSettings()
    assert (settings.glitch_retry_count, settings.glitch_retry_s) == (4, 60.0)
    assert (settings.transient_retry_count, settings.transient_retry_s) == (6, 300.0)
    assert (settings.retry_s, settings.message_retry_s) == (600.0, 900.0)
    assert (settings.delay_notice_s, settings.expiry_s) == (4 * 3600.0, 2 * 86400.0)
