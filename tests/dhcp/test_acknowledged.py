"""What a partner has acknowledged waits for a commit, and is lost by none that fails."""

from __future__ import annotations

from holdfast.dhcp.acknowledged import COUNT_MAX, WAIT_S, Acknowledged
from holdfast.dhcp.lease import ACTIVE, Lease

NOW = 1000.0


def lease(address: int, acked: int = 0) -> Lease:
    return Lease(address, ACTIVE, 0, b"\x01mac123", b"", 1, 2, 1, 1, potential_acked=acked)


def test_it_waits_for_a_second_and_goes_with_one_commit() -> None:
    acknowledged = Acknowledged()
    assert acknowledged.deadline() is None
    acknowledged.add(NOW, lease(1))
    acknowledged.add(NOW + 0.5, lease(2))
    assert acknowledged.deadline() == NOW + WAIT_S
    acknowledged.timer(NOW + 0.9)
    assert acknowledged.take() == []
    acknowledged.timer(NOW + WAIT_S)
    assert acknowledged.take() == [lease(1), lease(2)]
    assert not acknowledged.is_due
    assert acknowledged.deadline() is None


def test_many_wait_for_nothing() -> None:
    acknowledged = Acknowledged()
    for address in range(COUNT_MAX):
        assert not acknowledged.is_due
        acknowledged.add(NOW, lease(address))
    assert len(acknowledged.take()) == COUNT_MAX


def test_a_lease_that_changes_takes_it_along() -> None:
    acknowledged = Acknowledged()
    acknowledged.add(NOW, lease(1))
    acknowledged.add(NOW, lease(2))
    acknowledged.overtaken(1)
    acknowledged.hurry()
    assert acknowledged.take() == [lease(2)]


def test_a_commit_that_fails_loses_nothing() -> None:
    acknowledged = Acknowledged()
    acknowledged.add(NOW, lease(1, 10))
    acknowledged.overtaken(1)  # it was changed, and is again what it was
    acknowledged.add(NOW, lease(2, 10))
    acknowledged.hurry()
    acknowledged.take()
    acknowledged.commit_failed()
    acknowledged.timer(NOW + WAIT_S)
    assert sorted(acknowledged.take()) == [lease(1, 10), lease(2, 10)]
    acknowledged.committed()
    acknowledged.commit_failed()
    acknowledged.hurry()
    assert acknowledged.take() == []
