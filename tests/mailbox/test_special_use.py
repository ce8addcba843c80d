"""The folders that every mailbox has."""

from __future__ import annotations

from holdfast.mailbox.names import clean_name
from holdfast.mailbox.special_use import SPECIAL_FOLDERS


def test_special_folders_are_top_level_names_each_with_a_use_of_its_own() -> None:
    assert all(clean_name(name) == name and "/" not in name for name in SPECIAL_FOLDERS)
    uses = [use for use in SPECIAL_FOLDERS.values() if use]
    assert len(uses) == len(set(uses)) == 5
