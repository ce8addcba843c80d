"""What servers of ours say of a message is read as it was written, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.smtp import COMMAND_BYTES_MAX
from holdfast.wire.smtp_parameters import MailParameters, parse_mail_parameters
from holdfast.wire.transfer import Transfer, write_transfer

ID = "5a0c7c4e-6d3a-4b7c-9f10-3f1d5f6a7b8c"


@given(
    st.uuids(version=4).map(str),
    st.integers(0, 900_000_000_000).map(lambda milliseconds: milliseconds / 1000),
    st.booleans(),
)
def test_what_is_written_is_read(network_message_id: str, age_s: float, told: bool) -> None:
    transfer = Transfer(network_message_id, age_s, told)
    found = parse_mail_parameters(f" SIZE=17{write_transfer(transfer)}".encode())
    assert found.size_bytes == 17
    assert found.transfer is not None
    assert found.transfer[::2] == transfer[::2]
    assert found.transfer.age_s == pytest.approx(age_s, abs=0.0011)


def test_the_command_stays_short_and_is_as_documented() -> None:
    text = write_transfer(Transfer(ID, 90.25, True))
    assert text == f" XHOLDFAST-ID={ID} XHOLDFAST-AGE=90250 XHOLDFAST-TOLD"
    assert len(text) < COMMAND_BYTES_MAX // 4


@pytest.mark.parametrize(
    "text",
    [
        f"XHOLDFAST-ID={ID}",
        "XHOLDFAST-AGE=1000",
        "XHOLDFAST-TOLD",
        f"XHOLDFAST-ID={ID} XHOLDFAST-AGE=1000 XHOLDFAST-TOLD=yes",
        f"XHOLDFAST-ID={ID} XHOLDFAST-AGE",
        f"XHOLDFAST-ID={ID} XHOLDFAST-AGE=-1",
        f"XHOLDFAST-ID={ID} XHOLDFAST-AGE=1234567890123",
        "XHOLDFAST-ID=a,b XHOLDFAST-AGE=1",
        f"XHOLDFAST-ID={'a' * 65} XHOLDFAST-AGE=1",
        f"XHOLDFAST-ID={ID} XHOLDFAST-ID={ID} XHOLDFAST-AGE=1",
    ],
)
def test_what_is_incomplete_or_malformed_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_mail_parameters(text.encode())
    assert refused.value.code == 501


def test_an_age_that_cannot_be_is_bounded() -> None:
    for age_s, written in ((-5.0, 0), (1e30, 999_999_999_999)):
        assert write_transfer(Transfer(ID, age_s)).endswith(f" XHOLDFAST-AGE={written}")


def test_others_are_as_before() -> None:
    assert parse_mail_parameters(b"SIZE=17") == MailParameters(17)
    with pytest.raises(Refusal) as refused:
        parse_mail_parameters(f"XHOLDFAST-ID={ID} XHOLDFAST-AGE=1 XHOLDFAST-NEW=1".encode())
    assert refused.value.code == 555
