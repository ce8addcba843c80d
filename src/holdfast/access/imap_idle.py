"""IDLE: tell the client at once what happens in its folder.

Source: RFC 2177.
"""

from __future__ import annotations

from collections.abc import Generator

from holdfast.access.imap_conversation import (
    AwaitChange,
    Bad,
    Conversation,
    Step,
    StepResult,
    WatchFolder,
    refresh,
)
from holdfast.wire.imap import Arguments


def idle(conversation: Conversation, arguments: Arguments) -> Generator[Step, StepResult, str]:
    """Watch the selected folder until the client says DONE."""
    arguments.end()
    selected = conversation.selected
    if selected is not None:
        # Watched before it is read: a change between the two is seen twice, never missed.
        yield WatchFolder(selected.folder_id, wanted=True)
    conversation.say(b"+ idling")
    line: StepResult = None
    while line is None:
        yield from refresh(conversation)
        if selected is not None:
            conversation.out += selected.updates(expunges=True, with_uid=False)
        line = yield AwaitChange()
    if selected is not None:
        yield WatchFolder(selected.folder_id, wanted=False)
    assert isinstance(line, bytes), line
    if line.strip().upper() != b"DONE":
        raise Bad("IDLE ends with DONE.")
    return ""
