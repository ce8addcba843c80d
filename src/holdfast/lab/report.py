"""The report of a drill as one page: it loads nothing, so it can be mailed, printed and kept."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from holdfast.lab.outcome import SHOWN_MAX, Outcome
from holdfast.lab.timeline import draw

_BAD, _NUMBER = ' class="bad"', ' class="number"'
_STYLE = """
body { font: 15px/1.5 sans-serif; color: #22262b; background: #f4f5f7; margin: 0; }
main { max-width: 1000px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 28px 0 8px; }
.verdict { border-left: 8px solid #2f8f5b; background: #ffffff; padding: 16px 20px; }
.verdict.broken { border-color: #c8372d; }
.numbers { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; padding: 0; list-style: none; }
.numbers li { background: #ffffff; padding: 10px 12px; min-width: 76px; }
.numbers b { display: block; font-size: 24px; } .numbers .bad b { color: #c8372d; }
table { border-collapse: collapse; background: #ffffff; }
th, td { text-align: left; padding: 5px 14px; border-bottom: 1px solid #d9dde2; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 0; background: #ffffff; } .words td.number, .words th.number { text-align: left; }
svg { display: block; width: 100%; height: auto; }
.note { color: #565d66; } code { background: #e9ebee; padding: 1px 5px; }
"""


def page(outcome: Outcome) -> str:
    """The report as an HTML document."""
    tally = outcome.tally
    began = datetime.fromtimestamp(outcome.began_at, UTC)
    # The promise comes first, then what it is made of.
    numbers = (
        ("lost", tally.lost_count, True),
        ("duplicated", tally.doubled_count, True),
        ("unaccounted", outcome.unaccounted_count, True),
        ("sent", tally.sent_count, False),
        ("acknowledged", tally.acknowledged_count, False),
        ("delivered", tally.delivered_count, False),
        ("queued", tally.queued_count, False),
        ("bounced", tally.bounced_count, False),
    )
    items = "".join(
        f"<li{' class=bad' if promise and value else ''}><b>{value:,}</b>{name}</li>"
        for name, value, promise in numbers
    )
    verdict = "verdict" if outcome.passed else "verdict broken"
    parts = [
        "<!DOCTYPE html>\n",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Fire drill {escape(outcome.run)}</title><style>{_STYLE}</style></head><body><main>\n",
        f'<div class="{verdict}"><h1>{escape(outcome.headline)}</h1>',
        f'<div class="note">Fire drill {escape(outcome.run)}, {began:%Y-%m-%d %H:%M} UTC</div></div>\n',
        f'<ul class="numbers">{items}</ul>\n',
        '<p class="note">Counted in copies: one recipient of one letter. Acknowledged: a sender was told '
        "250.</p>\n",
        f"<h2>What happened</h2><figure>{draw(outcome)}</figure>\n",
        f"<h2>Longest time without service</h2>{_service(outcome)}\n",
        f"<h2>The ledgers</h2>{_ledgers(outcome)}\n",
        f"<h2>Second copies</h2>{_protections(outcome)}\n",
        _copies("Lost", outcome.tally.lost),
        _copies("Duplicated", outcome.tally.doubled),
        f"<h2>Details</h2>{_details(outcome)}\n",
        "</main></body></html>\n",
    ]
    return "".join(parts)


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table whose columns after the first hold numbers."""

    def line(tag: str, cells: Iterable[str]) -> str:
        return "".join(
            f"<{tag}{' class=number' if index else ''}>{escape(cell)}</{tag}>"
            for index, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{line('th', titles)}</tr></thead><tbody>{body}</tbody></table>"


def _service(outcome: Outcome) -> str:
    rows = [
        (protocol, _seconds(spans["any"]), *(_seconds(spans.get(name, 0.0)) for name in outcome.servers))
        for protocol, spans in outcome.without_service_s.items()
    ]
    rows.append(("a 250 to some sender", _seconds(outcome.without_250_s), *("" for _ in outcome.servers)))
    return _table(("protocol", "at both", *(f"at {name}" for name in outcome.servers)), rows)


def _seconds(span_s: float) -> str:
    return f"{span_s:.1f} s" if span_s else "none"


def _ledgers(outcome: Outcome) -> str:
    sums = ("accepted", "delivered", "relayed", "transferred", "queued", "bounced", "dropped", "unaccounted")
    rows = [
        (
            each.server,
            *(
                f"{value:,}"
                for value in (
                    each.accepted, each.delivered, each.relayed, each.transferred, each.queued,
                    each.bounced, each.dropped, each.unaccounted,
                )
            ),
        )
        for each in outcome.ledgers
    ]  # fmt: skip
    return _table(("server", *sums), rows)


def _protections(outcome: Outcome) -> str:
    rows = [
        (
            each.server,
            f"{each.protected_count:,}",
            f"{each.unprotected_count:,}",
            _known(each.taken_over_count),
            _known(each.sent_by_both_count),
        )
        for each in outcome.protections
    ]
    return _table(("server", "protected now", "unprotected now", "taken over", "delivered by both"), rows)


def _known(count: int | None) -> str:
    return "not known" if count is None else f"{count:,}"


def _copies(title: str, copies: tuple[tuple[int, str], ...]) -> str:
    if not copies:
        return ""
    rows = [(str(number), recipient) for number, recipient in copies[:SHOWN_MAX]]
    more = f'<p class="note">and {len(copies) - SHOWN_MAX:,} more</p>' if len(copies) > SHOWN_MAX else ""
    return f"<h2>{title}</h2>{_table(('letter', 'recipient'), rows)}{more}\n"


def _details(outcome: Outcome) -> str:
    orders, tally = outcome.orders, outcome.tally
    rows = [
        ("load", f"{orders.rate:g} letters a second for {orders.load_s:g} s"),
        ("seed", str(orders.seed)),
        *((f"at {mark.at_s:.1f} s", f"{mark.server} {mark.what}") for mark in outcome.marks),
        ("queues at the end", "empty" if outcome.drained else "not empty"),
        ("refused (5xx)", f"{tally.refused_count:,}"),
        ("without an answer at the end", f"{tally.unanswered_count:,}"),
        ("there without a 250", f"{tally.unpromised_count:,}"),
        ("gone with one disk, and named before", f"{tally.risked_count:,}"),
        ("duplicated after no answer was heard", f"{tally.doubled_uncertain_count:,}"),
        *(
            (f"put off: {text}", f"{count:,} times")
            for text, count in sorted(outcome.put_off.items())[:SHOWN_MAX]
        ),
        *(("note", each) for each in outcome.notes),
    ]
    return f'<div class="words">{_table(("what", "value"), rows)}</div>'
