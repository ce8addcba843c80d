"""Peers that are stopped after the test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.mail_servers import Peer, PeerPlan
from interop.relaying import Server, make_certificate

ONE_AFTER_THE_OTHER = "one after the other"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several run at once (`make interop`), those of no group of their own run one after the other."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(ONE_AFTER_THE_OTHER))


@pytest.fixture
def peer_folder() -> Iterator[Path]:
    """A folder that servers without rights can reach: pytest's own lie in one that only its owner sees."""
    with tempfile.TemporaryDirectory(prefix="peer-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def start_peer(peer_folder: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Peer]]:
    """Start a peer of a class; it is stopped after the test."""
    started: list[Peer] = []

    def start(
        peer_class: type[Peer], server: Server, *, tls: bool = False, more: str = "", sections: str = ""
    ) -> Peer:
        certificate = make_certificate(peer_folder / "tls", "peer.test") if tls else None
        plan = PeerPlan(
            peer_folder / "peer",
            "peer.test",
            free_port(),
            server.smtp,
            certificate=certificate,
            more=more,
            sections=sections,
        )
        started.append(peer_class(plan))
        return started[-1]

    yield start
    for each in started:
        each.stop()
