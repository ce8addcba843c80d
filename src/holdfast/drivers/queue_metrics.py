"""Gauges of the queues, of shadow copies and of back pressure, read when somebody asks for metrics.

Labels are few: the delivery types and the resources. A gauge per queue would
grow with every domain that mail is sent to; ``holdfast queue list`` shows those.
"""

from __future__ import annotations

from functools import partial

from prometheus_client import Gauge

from holdfast.directory.model import Resource
from holdfast.node.administration import Administration
from holdfast.node.shadow_report import ShadowReport
from holdfast.transport.queue import DeliveryType

QUEUED_PARTS = Gauge(
    "holdfast_queued_parts",
    "Messages that wait, by how their next hop is reached; one with recipients in two queues counts twice.",
    ("delivery_type",),
)
PRESSURE_LEVEL = Gauge(
    "holdfast_back_pressure_level",
    "How short a resource is: 0 low, 1 medium, 2 high.",
    ("resource",),
)
RESOURCE_USE = Gauge(
    "holdfast_resource_use",
    "How much of a resource is used, in the unit of its marks: percent, or messages.",
    ("resource",),
)
MAIL_REFUSED = Gauge(
    "holdfast_back_pressure_refuses",
    "Whom back pressure refuses mail from: 0 nobody, 1 outside, 2 everybody.",
)
UNPROTECTED = Gauge(
    "holdfast_messages_unprotected", "Messages in the queue that should have a shadow copy and have none."
)
PROTECTED = Gauge("holdfast_messages_protected", "Messages in the queue that have a shadow copy.")
COPIES_HELD = Gauge("holdfast_shadow_copies_held", "Messages of other servers whose shadow copy is here.")
TAKEN_OVER = Gauge(
    "holdfast_messages_taken_over",
    "Messages of lost servers that are delivered from here, since the start.",
)
REFUSED_UNPROTECTED = Gauge(
    "holdfast_messages_refused_unprotected",
    "Messages that were put off with 451 4.4.0 for want of a shadow copy, since the start.",
)
SENT_BY_BOTH = Gauge(
    "holdfast_messages_sent_by_both",
    "Messages since the start that may have gone to hosts outside from here and from who took them over.",
)


def show_shadows(report: ShadowReport) -> None:
    """Have the gauges tell of one transport role's copies."""
    UNPROTECTED.set_function(lambda: report.unprotected_count)
    PROTECTED.set_function(lambda: report.protected_count)
    COPIES_HELD.set_function(lambda: report.held_count)
    TAKEN_OVER.set_function(lambda: report.taken_over_count)
    REFUSED_UNPROTECTED.set_function(lambda: report.refused_count)
    SENT_BY_BOTH.set_function(lambda: report.sent_by_both_count)


def show_administration(administration: Administration) -> None:
    """Have the gauges tell of one transport role's queues and resources."""
    for kind in DeliveryType:
        QUEUED_PARTS.labels(kind.value).set_function(partial(_part_count, administration, kind))
    for index, resource in enumerate(Resource):
        PRESSURE_LEVEL.labels(resource.value).set_function(partial(_level, administration, index))
        RESOURCE_USE.labels(resource.value).set_function(partial(_use, administration, index))
    MAIL_REFUSED.set_function(partial(_refused, administration))


def _part_count(administration: Administration, kind: DeliveryType) -> float:
    return administration.part_counts()[kind.value]


def _level(administration: Administration, index: int) -> float:
    return administration.resource_states()[index].level


def _use(administration: Administration, index: int) -> float:
    return administration.resource_states()[index].value or 0.0


def _refused(administration: Administration) -> float:
    pressure = administration.pressure
    return pressure.refuse_outside + pressure.refuse_all
