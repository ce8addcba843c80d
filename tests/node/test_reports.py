"""What the tests of delivery do not show: a report and its outcome are one commit."""

from __future__ import annotations

from holdfast.transport.queue import AddMessage, FinishRecipients

from .conftest import World


def test_an_outcome_and_the_report_on_it_are_in_one_commit(make_world: type[World]) -> None:
    world = make_world()
    world.connect_stores()
    world.send("alice@example.test", sender="bob@example.test")
    world.commit()
    world.answer(full=("alice",))
    (writes,) = world.commits
    kinds = [type(each) for each in writes]
    assert FinishRecipients in kinds
    assert AddMessage in kinds
    finish = next(each for each in writes if isinstance(each, FinishRecipients))
    report = next(each for each in writes if isinstance(each, AddMessage))
    assert world.node._reports.made_of[finish.number] == (report.message.number,)
    world.settle()
    assert not world.node._reports.made_of
