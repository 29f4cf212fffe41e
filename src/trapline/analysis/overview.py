"""Overview: the questions behind `status`, `sessions`, `messages` and `show`, as SQL.

DuckDB's dialect, over the lake's ``entries`` and ``facts``.  Parameters are positional and
the same for all lists: peer ("" = all), since (ns), limit.
Must not be in here: running them, how answers look.
"""

from typing import Final

MESSAGES: Final = """
    SELECT e.id, e."at", e.sensor, e.session, e.peer, e.helo, e."user", e.sender, e.recipients,
           e.size, e.content, f.subject, f.sort, f.why
    FROM entries e LEFT JOIN facts f ON f.entry = e.id
    WHERE e.kind = 'mail.offered' AND (e.peer = $1 OR $1 = '') AND e."at" >= $2
    ORDER BY e."at" DESC, e.id DESC LIMIT $3
"""
MESSAGE_COLUMNS: Final = (
    "id", "at", "sensor", "session", "peer", "helo", "user", "sender", "recipients",
    "size", "sha256", "subject", "sort", "why",
)  # fmt: skip

SESSIONS: Final = """
    SELECT session, min("at") AS began, any_value(sensor), any_value(peer), any_value(port),
           coalesce(max(seconds) FILTER (kind = 'session.closed'), 0.0),
           count(*) FILTER (kind = 'mail.offered'),
           coalesce(sum(len(recipients)) FILTER (kind = 'mail.offered'), 0)::BIGINT,
           count(*) FILTER (kind = 'auth.tried'),
           count(*) FILTER (kind = 'envelope.dropped'),
           coalesce(any_value(helo) FILTER (helo <> ''), ''),
           count(*) FILTER (kind = 'tls.started') > 0,
           coalesce(max(reason) FILTER (kind = 'session.closed'), 'open')
    FROM entries WHERE session <> '' AND (peer = $1 OR $1 = '')
    GROUP BY session HAVING began >= $2 ORDER BY began DESC, session DESC LIMIT $3
"""
SESSION_COLUMNS: Final = (
    "session", "at", "sensor", "peer", "port", "seconds", "messages", "recipients",
    "logins", "dropped", "helo", "tls", "end",
)  # fmt: skip

OF_SESSION: Final = 'SELECT id FROM entries WHERE session = $1 ORDER BY "at", id'

TOTALS: Final = """
    SELECT count(*), count(DISTINCT session) FILTER (session <> ''),
           count(*) FILTER (kind = 'mail.offered'), count(DISTINCT peer) FILTER (peer <> ''),
           coalesce(sum(size) FILTER (kind = 'mail.offered'), 0)::BIGINT,
           count(*) FILTER (kind = 'auth.tried'), max("at")
    FROM entries
"""
TOTAL_COLUMNS: Final = (
    "entries", "sessions", "messages", "peers", "octets_offered", "logins", "last_entry",
)  # fmt: skip

SENSORS: Final = """
    SELECT sensor, event, "at" FROM entries
    WHERE kind = 'sensor.started' ORDER BY "at" DESC
"""

LAST_SHORT: Final = """
    SELECT event, "at" FROM entries
    WHERE kind = 'journal.short' ORDER BY "at" DESC, id DESC LIMIT 1
"""

DELIVERED: Final = """
    SELECT max("at"), arg_max(event, "at") FROM entries WHERE kind = 'list.delivered'
    GROUP BY json_extract_string(event, '$.path') ORDER BY 1
"""
