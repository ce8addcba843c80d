from __future__ import annotations

from holdfast.kernel.errors import Refusal
from holdfast.transport.outbound_words import Credentials, Reply, own_judgement, reply_of
from holdfast.wire.smtp_reply import ServerReply


def test_reply_of_a_next_hop() -> None:
    reply = reply_of(ServerReply(550, (b"5.1.1 no such", b"5.1.1 user")), "RCPT")
    assert reply == Reply(550, "5.1.1", "5.1.1 no such 5.1.1 user", "RCPT")
    assert not reply.local


def test_our_own_judgement_reads_like_a_reply() -> None:
    reply = own_judgement(Refusal("too large", code=552, status="5.3.4"), "MAIL")
    assert reply == Reply(552, "5.3.4", "5.3.4 too large", "MAIL", local=True)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Credentials("user", "secret"))
