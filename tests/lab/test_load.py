"""Senders against small servers that put off, refuse, hang up and fall silent."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

import pytest

from holdfast.lab import load as load_module
from holdfast.lab.drill_plan import Letter
from holdfast.lab.load import HEADER, Load, Place, Sent, number_of, subject_of

Reply = Callable[[str, int], str | None]  # command and how often it was heard; None hangs up

LETTER = Letter(1, ("a@lab.test", "b@lab.test"), 400)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait between tries; nothing else depends on it."""
    monkeypatch.setattr(load_module, "RETRY_S", 0.0)


class Server:
    """Answers 250 to everything, unless told otherwise; keeps what it took."""

    def __init__(self, reply: Reply = lambda command, count: "") -> None:
        self.taken: list[str] = []
        self.heard: list[str] = []
        self._reply = reply

    def _answer(self, command: str) -> str | None:
        self.heard.append(command)
        answer = self._reply(command, self.heard.count(command))
        usual = {"DATA": "354 go on", "greeting": "220 hello"}.get(command, "250 ok")
        return usual if answer == "" else answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = "greeting"
        try:
            while True:
                answer = self._answer(command)
                if answer is None:
                    return
                writer.write(answer.encode() + b"\r\n")
                if command == "DATA" and answer.startswith("354"):
                    text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                    command = "dot"
                    if self._reply("took", 0) != "no":
                        self.taken.append(text)
                    continue
                command = (await reader.readline()).decode().split(":")[0].split(" ")[0].strip()
                if not command:
                    return
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def send(*servers: Server, letters: tuple[Letter, ...] = (LETTER,), patience_s: float = 30.0) -> Sent:
    async def run() -> Sent:
        listeners = [await asyncio.start_server(each.serve, "127.0.0.1", 0) for each in servers]
        ports = [each.sockets[0].getsockname()[1] for each in listeners]
        places = tuple(Place(f"mail{n}", "127.0.0.1", port) for n, port in enumerate(ports, start=1))
        load = Load(places, iter(letters), 1000.0, "run", random.Random(1))
        await load.send_all(patience_s)
        for each in listeners:
            each.close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        return load.sent

    return asyncio.run(run())


def test_a_letter_is_taken_once() -> None:
    server = Server()
    sent = send(server)
    assert sent.acknowledged[1].server == "mail1"
    assert (sent.uncertain, sent.refused, sent.put_off) == (set(), {}, {})
    assert len(server.taken) == 1
    assert f"{HEADER}: run 1\r\n" in server.taken[0]
    assert f"Subject: {subject_of('run', 1)}\r\n" in server.taken[0]


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "dot"])
def test_who_is_put_off_tries_again_and_knows_that_it_was_not_taken(command: str) -> None:
    server = Server(lambda said, count: "451 4.3.0 later" if (said, count) == (command, 1) else "")
    sent = send(server)
    assert 1 in sent.acknowledged
    assert sent.uncertain == set()
    assert sent.put_off == {"451 4.3.0": 1}
    assert "RSET" in server.heard


def test_who_hears_nothing_after_the_last_dot_does_not_know_and_sends_it_again() -> None:
    server = Server(lambda said, count: None if (said, count) == ("dot", 1) else "")
    sent = send(server)
    assert 1 in sent.acknowledged
    assert sent.uncertain == {1}
    assert len(server.taken) == 2


@pytest.mark.parametrize("command", ["greeting", "EHLO", "MAIL", "DATA"])
def test_who_is_hung_up_on_before_the_last_dot_knows_that_it_was_not_taken(command: str) -> None:
    server = Server(lambda said, count: None if (said, count) == (command, 1) else "")
    sent = send(server)
    assert 1 in sent.acknowledged
    assert sent.uncertain == set()


def test_a_refused_letter_is_not_sent_again() -> None:
    server = Server(lambda said, count: "550 5.1.1 nobody" if said == "RCPT" else "")
    sent = send(server)
    assert sent.refused == {1: "550 5.1.1 nobody"}
    assert sent.acknowledged == {}
    assert server.heard.count("MAIL") == 1


def test_a_server_that_wants_nobody_is_passed_over_for_the_other() -> None:
    shut, open_one = Server(lambda said, count: "554 no" if said == "greeting" else ""), Server()
    sent = send(shut, open_one, letters=tuple(Letter(n, ("a@lab.test",), 400) for n in range(1, 40)))
    assert {each.server for each in sent.acknowledged.values()} == {"mail2"}
    assert len(sent.acknowledged) == 39


def test_letters_go_to_both_servers() -> None:
    sent = send(Server(), Server(), letters=tuple(Letter(n, ("a@lab.test",), 400) for n in range(1, 40)))
    assert {each.server for each in sent.acknowledged.values()} == {"mail1", "mail2"}


def test_a_sender_that_is_cancelled_in_a_conversation_hangs_up() -> None:
    # It showed itself as an unclosed connection, now and then, where patience ended.
    hung_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.write(b"250 ok\r\n")
        await reader.readline()  # MAIL, which is never answered
        assert await reader.read() == b""
        hung_up.set()
        writer.close()

    async def run() -> None:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        place = Place("mail1", "127.0.0.1", listener.sockets[0].getsockname()[1])
        load = Load((place,), iter([LETTER]), 1000.0, "run", random.Random(1))
        await load.send_all(0.2)
        async with asyncio.timeout(30):
            await hung_up.wait()
        listener.close()

    asyncio.run(run())


def test_patience_ends() -> None:
    sent = send(Server(lambda said, count: "421 4.3.2 later" if said == "MAIL" else ""), patience_s=0.2)
    assert sent.acknowledged == {}
    assert sent.letters.keys() == {1}
    assert sent.put_off["421 4.3.2"] >= 1


def test_senders_hold_their_breath_and_go_on() -> None:
    server = Server()

    async def run() -> tuple[bool, int, int]:
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        place = Place("mail1", "127.0.0.1", listener.sockets[0].getsockname()[1])
        letters = (Letter(n, ("a@lab.test",), 400) for n in range(1, 101))
        load = Load((place,), letters, 2000.0, "run", random.Random(1))
        sending = asyncio.ensure_future(load.send_all(30.0))
        async with asyncio.timeout(30):
            while len(load.sent.acknowledged) < 5:  # noqa: ASYNC110  # senders tell nobody
                await asyncio.sleep(0)
        quiet = await load.hold(30.0)
        before = len(load.sent.acknowledged)
        await asyncio.sleep(0.05)
        after = len(load.sent.acknowledged)
        load.resume()
        await sending
        listener.close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        assert len(load.sent.acknowledged) == 100
        return quiet, before, after

    quiet, before, after = asyncio.run(run())
    assert quiet
    assert before == after < 100


def test_a_letter_is_known_by_its_subject() -> None:
    assert number_of("run", subject_of("run", 12)) == 12
    for subject in (
        "",
        "hello",
        subject_of("other", 1),
        subject_of("run", 1) + "x",
        "Re: " + subject_of("run", 1),
    ):
        assert number_of("run", subject) is None
