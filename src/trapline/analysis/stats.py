"""Stats: who and what is met most, as SQL over the lake: one text for each question.

DuckDB's dialect, over ``entries`` and ``facts``; simple enough to be translated.  Every
query takes (since in ns, limit) and gives the columns ``COLUMNS``, most messages first.
Must not be in here: running them, how answers look.
"""

from typing import Final

COLUMNS: Final = ("value", "messages", "recipients", "peers", "first", "last")

_SHAPE: Final = """
    SELECT value, count(*) AS messages, coalesce(sum(recipients), 0)::BIGINT AS recipients,
           count(DISTINCT peer) AS peers, min("at") AS "first", max("at") AS "last"
    FROM (SELECT {value} AS value, len(e.recipients) AS recipients, e.peer, e."at"
          FROM {source} WHERE e.kind = 'mail.offered' AND e."at" >= $1)
    WHERE value <> '' GROUP BY value ORDER BY messages DESC, value LIMIT $2
"""
_ALL: Final = "entries e"
_READ: Final = "entries e JOIN facts f ON f.entry = e.id"
# One message names a recipient once, however often it does; hosts are such already.
_RECIPIENTS: Final = "unnest(list_distinct(list_transform(e.recipients, lambda x: lower(x))))"

TOP: Final[dict[str, str]] = {
    by: _SHAPE.format(value=value, source=source)
    for by, value, source in (
        ("peer", "e.peer", _ALL),
        ("sender", "CASE WHEN e.sender = '' THEN '<>' ELSE lower(e.sender) END", _ALL),
        ("domain", "lower(split_part(e.sender, '@', -1))", _ALL),
        ("recipient", _RECIPIENTS, _ALL),
        ("helo", "lower(e.helo)", _ALL),
        ("subject", "f.subject", _READ),
        ("url", "unnest(f.hosts)", _READ),
    )
}

# What is known of messages that could be relay tests: few recipients.
FEW: Final = """
    SELECT f.entry, f.subject, f.sort, f.clues FROM entries e JOIN facts f ON f.entry = e.id
    WHERE e.kind = 'mail.offered' AND len(e.recipients) + len(e.refused) <= 2
"""
