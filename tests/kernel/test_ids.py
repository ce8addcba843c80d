"""Ids are drawn from the luck that is given, and look as they should."""

from __future__ import annotations

import random
import re
import uuid

from holdfast.kernel.ids import new_mailbox_id, new_network_message_id


def test_network_message_id_is_a_random_uuid() -> None:
    drawn = new_network_message_id(random.Random(1))
    assert uuid.UUID(drawn).version == 4
    assert str(uuid.UUID(drawn)) == drawn


def test_mailbox_id_is_32_hexadecimal_digits() -> None:
    assert re.fullmatch("[0-9a-f]{32}", new_mailbox_id(random.Random(1)))


def test_same_luck_same_ids_and_never_the_same_twice() -> None:
    one, other = random.Random(5), random.Random(5)
    first = [new_network_message_id(one) for _ in range(100)]
    assert first == [new_network_message_id(other) for _ in range(100)]
    assert len(set(first)) == 100


def test_message_ids_are_random_uuids_as_the_standard_library_writes_them() -> None:
    for seed in range(200):
        text = new_network_message_id(random.Random(seed))
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)
        assert parsed == uuid.UUID(int=random.Random(seed).getrandbits(128), version=4)
