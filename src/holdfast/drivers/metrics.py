"""What each role process counts, for Prometheus; management puts the roles' texts together.

Counters count since the process started. Names follow Prometheus' rules:
``holdfast_`` first, the unit last, ``_total`` for what only grows.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge

LOG_EVENTS = Counter(
    "holdfast_log_events_total", "Events written to the log, by id of the catalogue.", ("event", "severity")
)
CONNECTIONS = Counter("holdfast_connections_total", "Client connections that were opened.")
CONNECTIONS_OPEN = Gauge("holdfast_connections_open", "Client connections that are open now.")
SIGN_INS = Counter("holdfast_sign_ins_total", "Passwords that were checked, by outcome.", ("outcome",))
MESSAGES_ACCEPTED = Counter(
    "holdfast_messages_accepted_total", "Messages that were made durable in the queue database."
)
MESSAGES_FINISHED = Counter(
    "holdfast_messages_finished_total", "Messages that left the queue, every recipient being served."
)
MESSAGES_QUEUED = Gauge("holdfast_messages_queued", "Messages that wait in the queue now.")
QUEUE_COMMITS = Counter(
    "holdfast_queue_commits_total", "Group commits of the queue database, by outcome.", ("outcome",)
)
STORE_ANSWERS = Counter(
    "holdfast_store_answers_total",
    "Answers of a mailbox database, by kind of answer.",
    ("database", "answer"),
)
MESSAGES_DOUBTFUL = Gauge(
    "holdfast_messages_doubtful",
    "Messages since the start that a next hop may have taken although its answer was lost; sent again.",
)
CONNECTIONS_OUT = Gauge("holdfast_outbound_connections_open", "Connections to next hops that are open now.")
