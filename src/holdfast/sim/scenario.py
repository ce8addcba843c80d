"""Scenarios: small text files that say how bad the world is, and the rates one seed draws from them.

A scenario gives each rate as a number or as ``[lowest, highest]``. A draw takes
either end with a probability of its own, because extremes (a batch of one,
time-outs of a second) find what the middle never does; otherwise every order
of magnitude between the ends is equally likely.

Rates named ``…_every_s`` are the mean time between two faults; 0 means never.
"""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass, fields
from importlib import resources

from holdfast.kernel.errors import Refusal

DEFAULT_SCENARIO = "plug-pull"
EXTREME_RATE = 0.15  # how often each end of a range is taken on purpose


@dataclass(frozen=True, slots=True)
class Rates:
    """Every number that a scenario may set, at its calm default."""

    # Phases.
    safety_s: float = 60.0  # how long faults happen
    liveness_s: float = 14400.0  # within which everything must be finished after the last fault
    # Senders.
    sender_count: int = 2
    letter_count: int = 4  # per sender
    session_letter_max: int = 3  # letters sent over one connection
    letter_every_s: float = 5.0
    recipient_max: int = 3
    body_bytes_max: int = 2000
    pipelining_rate: float = 0.5
    group_rate: float = 0.2
    unknown_rate: float = 0.1
    repeat_rate: float = 0.0  # letters that are sent once more on purpose, after the 250 was read
    repeat_s: float = 5.0  # how long after
    local_rate: float = 0.0  # letters in the name of one of us, who gets the bounces
    reply_wait_s: float = 60.0  # how long a sender waits for an answer
    retry_s: float = 5.0
    drop_in_data_rate: float = 0.0
    drop_after_dot_rate: float = 0.0
    half_close_rate: float = 0.0
    burst_rate: float = 0.0  # letters that are pipelined several times, whole
    # Next hops: the mail servers elsewhere.
    outside_rate: float = 0.0  # letters for somebody elsewhere; above 0 there is a send connector
    hop_count: int = 3
    smart_host_rate: float = 0.3  # how often the send connector names smart hosts
    hop_pipelining_rate: float = 0.7
    hop_chunking_rate: float = 0.4
    hop_recipient_max: int = 100
    hop_delay_s: float = 0.01  # before each of their answers
    hop_busy_rate: float = 0.0  # connections that are greeted with 421 or 554
    hop_defer_rate: float = 0.0  # 4xx, at each step
    hop_reject_rate: float = 0.0  # messages that get 5xx after the final dot
    hop_drop_rate: float = 0.0  # connections that break, end with 421 or fall silent, at each command
    hop_drop_after_dot_rate: float = 0.0  # connections that break instead of an answer to the message
    hop_greylist_rate: float = 0.0  # next hops that put off whom they do not know
    hop_greylist_s: float = 60.0
    hop_down_every_s: float = 0.0
    hop_down_s: float = 10.0
    name_failure_rate: float = 0.0  # questions to DNS that get no usable answer
    name_delay_s: float = 0.01
    name_kept_s: float = 60.0
    # The network.
    delay_s: float = 0.001
    segment_bytes_max: int = 1400
    reset_every_s: float = 0.0
    partition_every_s: float = 0.0
    partition_s: float = 10.0
    # Disks.
    commit_s: float = 0.004
    commit_batch_max: int = 1000
    store_commit_s: float = 0.004
    store_batch_max: int = 1000
    durable_untold_rate: float = 0.5  # a commit that a crash interrupted is durable all the same
    full_every_s: float = 0.0
    store_full_every_s: float = 0.0
    full_s: float = 10.0
    slow_every_s: float = 0.0
    store_slow_every_s: float = 0.0
    slow_s: float = 10.0
    slow_factor: float = 100.0
    read_failure_rate: float = 0.0
    # Processes.
    crash_every_s: float = 0.0
    store_crash_every_s: float = 0.0
    stop_every_s: float = 0.0
    store_stop_every_s: float = 0.0
    restart_s: float = 1.0
    clock_jump_every_s: float = 0.0
    clock_jump_s: float = 5.0
    # Settings of the organisation.
    mailbox_count: int = 3
    message_bytes_max: int = 1 << 20
    recipient_count_max: int = 200
    connection_count_max: int = 5000
    inactivity_s: float = 300.0
    session_s: float = 600.0
    tarpit_s: float = 0.0
    quota_bytes: int = 0  # of the first mailbox; 0 is none
    hop_inactivity_s: float = 600.0  # of the send connector
    hop_connection_count_max: int = 20
    hop_message_count_max: int = 20  # per connection
    glitch_retry_s: float = 60.0
    message_retry_s: float = 900.0
    # Several servers.
    server_count: int = 1
    site_count: int = 1  # places that they are spread over
    server_tls_rate: float = 0.7  # how often the servers offer each other TLS
    other_server_rate: float = 0.7  # how often a sender that was not served tries another server
    server_crash_every_s: float = 0.0  # a whole server: every process at once, and the power with them
    server_down_s: float = 10.0
    link_every_s: float = 0.0  # partitions between two servers, also one-way
    link_s: float = 10.0
    slow_link_every_s: float = 0.0
    slow_link_s: float = 10.0
    slow_link_factor: float = 100.0
    rolling_restart_every_s: float = 0.0  # one server after the other is stopped cleanly and comes back
    clock_drift: float = 0.0  # seconds that a clock gains or loses in a second, at most
    # Shadow copies.
    shadow_rate: float = 0.0  # how often the servers know each other, so that they keep copies
    required_rate: float = 0.0  # how often a copy is required
    shadow_wait_s: float = 5.0
    shadow_heartbeat_s: float = 2.0
    shadow_takeover_s: float = 180.0
    safety_net_hold_s: float = 172800.0
    disk_loss_every_s: float = 0.0  # a server loses the disk of its queue, and comes back with an empty one
    disk_loss_count_max: int = 0
    declare_every_s: float = 0.0  # an administrator declares a server lost, rightly or not
    dead_rate: float = 0.0  # how often a server is dead for ever when faults stop, and declared lost

    def __str__(self) -> str:
        return " ".join(f"{field.name}={_number(getattr(self, field.name))}" for field in fields(self))


Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named scenario; ``ranges`` holds (lowest, highest) for the rates that it sets."""

    name: str
    description: str
    ranges: dict[str, Range]

    def draw(self, luck: random.Random) -> Rates:
        """Draw every rate; the same luck gives the same rates."""
        chosen: dict[str, float | int] = {}
        for field in fields(Rates):
            low, high = self.ranges.get(field.name, (None, None))
            if low is None or high is None:
                continue
            value = _draw(luck, low, high)
            chosen[field.name] = round(value) if field.type == "int" else value
        return Rates(**chosen)  # type: ignore[arg-type]  # each value has its field's type by the line above


def scenario_names() -> list[str]:
    """The scenarios that come with Holdfast, sorted."""
    folder = resources.files("holdfast.sim").joinpath("scenarios")
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_scenario(name: str) -> Scenario:
    """Read a scenario that comes with Holdfast.

    Raises:
        Refusal: there is none of that name; the text lists those that are.
    """
    if name not in scenario_names():
        raise Refusal(f'there is no scenario "{name}"; there are: {", ".join(scenario_names())}')
    text = resources.files("holdfast.sim").joinpath("scenarios", f"{name}.toml").read_text("utf-8")
    return parse_scenario(name, text)


def parse_scenario(name: str, text: str) -> Scenario:
    """Read the text of a scenario.

    Raises:
        Refusal: not TOML, an unknown rate, or a range that is none.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f'scenario "{name}" is not TOML: {error}') from None
    description = table.pop("description", "")
    rates = table.pop("rates", {})
    if table or not isinstance(description, str) or not isinstance(rates, dict):
        raise Refusal(f'scenario "{name}" may hold a description and a table [rates], nothing else')
    known = {field.name for field in fields(Rates)}
    ranges: dict[str, Range] = {}
    for key, value in rates.items():
        if key not in known:
            raise Refusal(
                f'scenario "{name}": there is no rate "{key}"; the rates are: {", ".join(sorted(known))}'
            )
        ranges[key] = _range(name, key, value)
    return Scenario(name, description, ranges)


def _range(name: str, key: str, value: object) -> Range:
    ends: list[float] = []
    for end in value if isinstance(value, list) else [value, value]:
        if isinstance(end, int | float) and not isinstance(end, bool):
            ends.append(float(end))
    if len(ends) == 2 and 0 <= ends[0] <= ends[1] < float("inf"):
        return ends[0], ends[1]
    raise Refusal(
        f'scenario "{name}": {key} = {value} is neither a number of 0 or more nor [lowest, highest]'
    )


def _draw(luck: random.Random, low: float, high: float) -> float:
    where = luck.random()
    fraction = luck.random()
    if low == high or where < EXTREME_RATE:
        return low
    if where > 1.0 - EXTREME_RATE:
        return high
    if low == 0.0:
        return high * fraction
    # Doublings instead of exp and log, whose last digits differ between machines.
    doubling_count = 0
    while low * 2.0 ** (doubling_count + 1) < high:
        doubling_count += 1
    start = low * 2.0 ** luck.randrange(doubling_count + 1)
    return min(high, start * (1.0 + fraction))


def _number(value: float | int) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
