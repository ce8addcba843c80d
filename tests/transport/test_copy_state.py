from __future__ import annotations

from holdfast.transport.copy_state import KEPT, OUTSIDE, Partner


def test_a_discard_is_told_on_a_link_that_stands_and_kept_for_the_next_one_otherwise() -> None:
    partner = Partner()
    partner.discard(1, KEPT)
    assert (partner.discards, partner.untold) == ({1: KEPT}, {})
    partner.listed = set()
    partner.discard(2, OUTSIDE)
    assert (partner.discards, partner.untold) == ({1: KEPT, 2: OUTSIDE}, {2: None})
