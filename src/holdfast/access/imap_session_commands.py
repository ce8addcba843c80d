"""Commands about the session itself: CAPABILITY, LOGIN, AUTHENTICATE, STARTTLS, LOGOUT, NOOP, ID, ENABLE.

Source: RFC 3501 sections 6.1 and 6.2; RFC 4616 and RFC 4959 (PLAIN with an
initial response); RFC 2971 (ID); RFC 5161 (ENABLE).
"""

from __future__ import annotations

import binascii
from collections.abc import Generator

from holdfast.access.imap_conversation import (
    Bad,
    BeginTls,
    CheckCredentials,
    Conversation,
    Farewell,
    No,
    ReadLine,
    Step,
    StepResult,
)
from holdfast.access.sign_in import Account, parse_plain, read_credential
from holdfast.kernel.errors import Refusal
from holdfast.wire.imap import Arguments

# Announced only what works.
CAPABILITIES = (
    "IMAP4rev1",
    "LITERAL+",
    "SASL-IR",
    "ID",
    "ENABLE",
    "IDLE",
    "NAMESPACE",
    "CHILDREN",
    "UIDPLUS",
    "UNSELECT",
    "MOVE",
    "ESEARCH",
    "SPECIAL-USE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "STATUS=SIZE",
)
INVALID_CREDENTIALS = "Invalid credentials."  # the same whatever was wrong, so that nothing can be learned

Run = Generator[Step, StepResult, str]


def capabilities(conversation: Conversation) -> str:
    """The capabilities in this state of the session (RFC 3501 section 6.1.1)."""
    names = list(CAPABILITIES)
    if conversation.account is None:
        if conversation.tls_offered and not conversation.tls_active:
            names.append("STARTTLS")
        names.append("AUTH=PLAIN" if conversation.password_allowed else "LOGINDISABLED")
    return " ".join(names)


def capability(conversation: Conversation, arguments: Arguments) -> Run:
    """CAPABILITY."""
    arguments.end()
    conversation.say(f"* CAPABILITY {capabilities(conversation)}".encode())
    yield from ()  # a handler is a generator, also when it asks nobody
    return ""


def noop(conversation: Conversation, arguments: Arguments) -> Run:
    """NOOP and CHECK: what is new is said at the end of every command, so there is nothing to do."""
    arguments.end()
    yield from ()  # a handler is a generator, also when it asks nobody
    return ""


def identify(conversation: Conversation, arguments: Arguments) -> Run:
    """ID: what the client says of itself is read by nobody; of ourselves we say nothing (RFC 2971)."""
    conversation.say(b"* ID NIL")
    yield from ()  # a handler is a generator, also when it asks nobody
    return ""


def enable(conversation: Conversation, arguments: Arguments) -> Run:
    """ENABLE: none of our extensions needs it, so nothing is enabled (RFC 5161 section 3.1)."""
    while True:
        arguments.keyword()
        if arguments.at_end():
            break
        arguments.space()
    conversation.say(b"* ENABLED")
    yield from ()  # a handler is a generator, also when it asks nobody
    return ""


def logout(conversation: Conversation, arguments: Arguments) -> Run:
    """LOGOUT."""
    arguments.end()
    yield from ()  # a handler is a generator, also when it asks nobody
    raise Farewell("IMAP4rev1 Server logging out", "OK LOGOUT completed.")


def starttls(conversation: Conversation, arguments: Arguments) -> Run:
    """STARTTLS; the session says the tagged OK itself, before TLS begins."""
    arguments.end()
    if conversation.tls_active:
        raise Bad("TLS is on already.")
    if not conversation.tls_offered:
        raise Bad("TLS is not offered here.")
    yield BeginTls()
    return ""


def login(conversation: Conversation, arguments: Arguments) -> Run:
    """LOGIN (RFC 3501 section 6.2.3)."""
    user = arguments.astring()
    arguments.space()
    password = arguments.astring()
    arguments.end()
    _demand_privacy(conversation)
    try:
        name, secret = read_credential(user), read_credential(password)
    except Refusal:
        name = secret = ""
    yield from _sign_in(conversation, "LOGIN", name, secret)
    return ""


def authenticate(conversation: Conversation, arguments: Arguments) -> Run:
    """AUTHENTICATE PLAIN (RFC 3501 section 6.2.2)."""
    mechanism = arguments.astring().upper()
    if mechanism != b"PLAIN":
        raise No("Authentication mechanism is unsupported.")
    _demand_privacy(conversation)
    if arguments.at_end():
        conversation.say(b"+ ")
        line = yield ReadLine()
        assert isinstance(line, bytes), line
        encoded = line.strip()
        if encoded == b"*":
            raise Bad("Cancelled.")
    else:
        arguments.space()
        encoded = arguments.astring()
        arguments.end()
    try:
        message = b"" if encoded == b"=" else binascii.a2b_base64(encoded, strict_mode=True)
    except binascii.Error:
        raise Bad("The response is not base64.") from None
    try:
        credentials = parse_plain(message)
    except Refusal:
        yield from _sign_in(conversation, "AUTHENTICATE", "", "")
        return ""
    if credentials.authorise_as.casefold() not in ("", credentials.user.casefold()):
        raise No("Signing in for somebody else is not possible here.", "AUTHORIZATIONFAILED")
    yield from _sign_in(conversation, "AUTHENTICATE", credentials.user, credentials.password)
    return ""


def _demand_privacy(conversation: Conversation) -> None:
    if not conversation.password_allowed:
        raise No("A password is taken over TLS only; begin TLS first.", "PRIVACYREQUIRED")


def _sign_in(
    conversation: Conversation, command: str, user: str, password: str
) -> Generator[Step, StepResult, None]:
    account: StepResult = None
    if user and password:
        account = yield CheckCredentials(user, password)
    if account is not None:
        assert isinstance(account, Account), account
        conversation.account = account
        return
    conversation.failed_sign_in_count += 1
    if conversation.failed_sign_in_count >= conversation.settings.sign_in_count_max:
        raise Farewell(
            "Login failed too many times.",
            f"NO [AUTHENTICATIONFAILED] {command} failed. {INVALID_CREDENTIALS}",
        )
    raise No(INVALID_CREDENTIALS, "AUTHENTICATIONFAILED")
