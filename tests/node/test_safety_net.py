from __future__ import annotations

import random

from holdfast.node.own_writes import OwnWrites
from holdfast.node.safety_net import PURGE_S, SafetyNet
from holdfast.transport.shadow_writes import PurgeKept
from holdfast.transport.tracking import TrackingWriter


def test_it_is_looked_through_while_anything_may_be_in_it() -> None:
    own = OwnWrites(random.Random(1))
    net = SafetyNet(own, TrackingWriter("mail1", with_subject=True))
    assert net.kept_at(1000.0) == 0.0
    net.hold_s = 3600.0
    assert net.kept_at(1000.0) == 1000.0
    assert net.deadline is None
    net.kept(1000.0)
    looks = []
    while net.deadline is not None:
        now = net.deadline
        net.timer(now)
        looks += [(now, each.before) for each in own.take() if isinstance(each, PurgeKept)]
    assert looks[0] == (1000.0 + PURGE_S, 1000.0 + PURGE_S - 3600.0)
    assert looks[-1][1] >= 1000.0  # the last look takes what was kept last
