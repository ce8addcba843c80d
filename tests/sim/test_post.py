"""Senders on the made-up network: when they try again, and when they stop."""

from __future__ import annotations

from holdfast.sim.network import Endpoint, Network, Receiver
from holdfast.sim.organisation import make_organisation, server_address
from holdfast.sim.post import UNKNOWN, Draft, Sender, draw_letter, sender_place
from holdfast.sim.scenario import Rates
from holdfast.sim.senders import Letter
from holdfast.sim.transport_process import PLACE
from holdfast.sim.world import World


class Server:
    """Answers every line with what a script says; an empty answer is silence."""

    def __init__(self, world: World, network: Network) -> None:
        self.sessions: list[list[bytes]] = []
        self.answers: dict[bytes, bytes] = {}
        self.network = network
        network.listen(PLACE, self.accept)

    def accept(self, endpoint: Endpoint) -> Receiver:
        endpoint.send(b"220 hub\r\n")
        self.sessions.append([])
        return Answering(self, endpoint)


class Answering:
    def __init__(self, server: Server, endpoint: Endpoint) -> None:
        self.server, self.endpoint, self.buffer = server, endpoint, b""
        self.session = server.sessions[-1]

    def opened(self) -> None:
        raise AssertionError

    def received(self, data: bytes) -> None:
        self.buffer += data
        *lines, self.buffer = self.buffer.split(b"\r\n")
        for line in lines:
            self.session.append(line)
            word = line.split(b" ")[0]
            plain = {
                b"EHLO": b"250 hub",
                b"MAIL": b"250 ok",
                b"RCPT": b"250 ok",
                b"DATA": b"354 go",
                b".": b"250 ok",
            }
            answer = self.server.answers.get(word, plain.get(word, b""))
            if word == b"QUIT":
                self.endpoint.send(b"221 bye\r\n")
                self.endpoint.close()
            elif answer == b"close":
                self.endpoint.close()
            elif answer:
                self.endpoint.send(answer + b"\r\n")

    def ended(self) -> None:
        self.endpoint.close()

    def lost(self) -> None:
        pass


class Post:
    """One sender and a scripted server."""

    def __init__(self, **rates: float) -> None:
        self.world = World(1)
        drawn = Rates(reply_wait_s=10.0, retry_s=5.0, **rates)  # type: ignore[arg-type]  # any rate
        self.network = Network(self.world, drawn)
        self.server = Server(self.world, self.network)
        self.read_250: list[str] = []
        place = sender_place(0)
        self.sender = Sender(
            place, self.world, self.network, drawn, lambda letter, taken: self.read_250.append(letter.marker)
        )

    def run(self, span_s: float) -> None:
        until = self.world.now + span_s
        while self.world.step(until):
            pass


def letter(marker: str = "L1") -> Letter:
    return Letter(marker, "", ("user0@example.test",), b"X-Letter: " + marker.encode() + b"\r\n\r\nhello\r\n")


def test_a_letter_is_sent_once_and_the_session_ends() -> None:
    post = Post()
    post.sender.post(letter())
    assert not post.sender.finished
    post.run(30)
    assert post.read_250 == ["L1"]
    assert post.sender.finished
    assert len(post.server.sessions) == 1
    assert post.server.sessions[0][-1] == b"QUIT"


def test_a_letter_without_an_answer_is_sent_again_and_never_after_its_answer() -> None:
    post = Post()
    post.server.answers[b"."] = b""
    post.sender.post(letter())
    post.run(100)
    assert len(post.server.sessions) > 3
    assert post.read_250 == []
    del post.server.answers[b"."]
    post.run(100)
    count = len(post.server.sessions)
    assert post.read_250 == ["L1"]
    post.run(1000)
    assert len(post.server.sessions) == count


def test_a_refused_connection_and_a_closed_session_are_tried_again() -> None:
    post = Post()
    post.network.listen(PLACE, None)
    post.sender.post(letter())
    post.run(30)
    post.server.answers[b"MAIL"] = b"close"
    post.network.listen(PLACE, post.server.accept)
    post.run(30)
    assert len(post.server.sessions) > 1
    post.server.answers.clear()
    post.run(30)
    assert post.sender.finished


def test_a_sender_with_bad_habits_grows_calm() -> None:
    post = Post(drop_in_data_rate=0.5, drop_after_dot_rate=0.9, half_close_rate=1.0)
    for number in range(5):
        post.sender.post(letter(f"L{number}"))
    post.run(60)
    post.sender.grow_calm()
    post.run(1000)
    assert post.sender.finished
    # Habits show as sessions without QUIT.
    assert any(session[-1] != b"QUIT" for session in post.server.sessions)


def test_letters_name_people_groups_and_strangers() -> None:
    organisation = make_organisation(Rates(), World(1).luck("organisation"))
    draft = Draft(World(1).luck("letters"), Rates(group_rate=0.3, unknown_rate=0.3), organisation)
    letters = [draw_letter(draft, f"L{number}") for number in range(100)]
    recipients = {recipient for each in letters for recipient in each.recipients}
    assert set(UNKNOWN) < recipients
    assert {"all@example.test", "alias0@example.test", "user1@example.test"} < recipients
    assert {"", "sender@example.org"} == {each.reverse_path for each in letters}
    assert all(len(set(each.recipients)) == len(each.recipients) for each in letters)
    assert any(b"\r\n.\r\n" in each.data for each in letters)


def test_a_sender_that_is_not_served_tries_the_other_server() -> None:
    post = Post(server_count=2, other_server_rate=1.0)
    other = {server_address(0): server_address(1), server_address(1): server_address(0)}
    first = post.sender._server
    post.network.listen(server_address(0), None)
    post.network.listen(other[first], post.server.accept)
    post.sender.post(letter())
    post.run(60)
    assert post.read_250 == ["L1"]
    assert post.sender._server == other[first]
