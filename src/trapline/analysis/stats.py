"""Stats: who and what is met most, as SQL over the lake: one text for each question.

DuckDB's dialect, over ``entries`` and ``facts``; simple enough to be translated.  Every
query takes (since in ns, limit) and gives the columns ``COLUMNS``, most messages first.
Must not be in here: running them, how answers look.
"""

from typing import Final

COLUMNS: Final = ("value", "messages", "recipients", "peers", "first", "last")

_SHAPE: Final = """
    SELECT {value} AS value, count(*) AS messages,
           coalesce(sum(len(e.recipients)), 0)::BIGINT AS recipients,
           count(DISTINCT e.peer) AS peers, min(e."at") AS "first", max(e."at") AS "last"
    FROM {source}
    WHERE e.kind = 'mail.offered' AND e."at" >= $1
    GROUP BY value HAVING value <> '' ORDER BY messages DESC, value LIMIT $2
"""
_READ: Final = "entries e JOIN facts f ON f.entry = e.id"
_HOST: Final = r"regexp_extract(u.url, '^[a-z]+://(?:[^/?#@]*@)?([^/?#:]+)', 1)"

TOP: Final[dict[str, str]] = {
    by: _SHAPE.format(value=value, source=source)
    for by, value, source in (
        ("peer", "e.peer", "entries e"),
        ("sender", "CASE WHEN e.sender = '' THEN '<>' ELSE lower(e.sender) END", "entries e"),
        ("domain", "lower(split_part(e.sender, '@', -1))", "entries e"),
        (
            "recipient",
            "lower(r.recipient)",
            "entries e, (SELECT unnest(e.recipients) AS recipient) r",
        ),
        ("helo", "lower(e.helo)", "entries e"),
        ("subject", "f.subject", _READ),
        ("url", _HOST, f"{_READ}, (SELECT DISTINCT unnest(f.urls) AS url) u"),
    )
}

# What is known of messages that could be relay tests: few recipients.
FEW: Final = """
    SELECT f.entry, f.subject, f.sort, f.clues FROM entries e JOIN facts f ON f.entry = e.id
    WHERE e.kind = 'mail.offered' AND len(e.recipients) + len(e.refused) <= 2
"""
