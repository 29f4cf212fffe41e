"""10,000 sessions of hostile octets: no traceback, no leak, no session that is stuck."""

import asyncio
import os
import random
import smtplib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.conftest import Running, eventually
from tests.system.test_kill import children

SESSIONS = 10_000
AT_ONCE = 100
GROWTH = 24 * 2**20  # octets a worker's memory may grow: caches and the allocator's slack

PIECES = (
    b"EHLO x\r\n", b"HELO \xff\r\n", b"MAIL FROM:<a@b.example>\r\n", b"MAIL FROM:<>\r\n",
    b"RCPT TO:<c@d.example>\r\n", b"RCPT TO:<\x00@\xff>\r\n", b"DATA\r\n", b".\r\n", b"\n.\n",
    b"\r\n.\r\n", b"BDAT 5\r\n", b"BDAT 0 LAST\r\n", b"BDAT 99999999999999999999 LAST\r\n",
    b"BDAT -1\r\n", b"12345", b"RSET\r\n", b"NOOP\r\n", b"QUIT\r\n", b"VRFY root\r\n",
    b"AUTH PLAIN\r\n", b"AUTH LOGIN =\r\n", b"AUTH CRAM-MD5\r\n", b"*\r\n", b"AAAA\r\n",
    b"STARTTLS\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n",
    b"\x05\x01\x00", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"\r", b"\n", b"\x00" * 64,
    b"\xff" * 64,
    b"x" * 5000, b"x" * 5000 + b"\r\n", b"\x1b]0;owned\x07\r\n",
    b"Subject: =HYPERLINK()\r\n\r\n",
    b"ETRN x\r\n", b"EXPN x\r\n", b"HELP\r\n", b"TURN\r\n", b"XCLIENT NAME=x\r\n",
    b"MAIL FROM:<a@b> SIZE=99999999999999999999 BODY=8BITMIME RET=HDRS ENVID=+\r\n",
)  # fmt: skip


def hostile(dice: random.Random) -> bytes:
    """Return the octets of one session: pieces of the protocol, broken and mixed."""
    octets = b"".join(dice.choice(PIECES) for _ in range(dice.randrange(1, 14)))
    if dice.random() < 0.3:
        at = dice.randrange(len(octets) + 1)
        octets = octets[:at] + dice.randbytes(dice.randrange(1, 40)) + octets[at:]
    return octets


async def session(port: int, dice: random.Random) -> None:
    """Say the octets in pieces, listen a little, and leave, politely or not."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return
    octets = hostile(dice)
    try:
        while octets:
            cut = dice.choice((1, 7, 100, 10_000))
            writer.write(octets[:cut])
            octets = octets[cut:]
            await writer.drain()
            if dice.random() < 0.2:
                await asyncio.wait_for(reader.read(4096), 0.05)
        if dice.random() < 0.5:
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 0.5)
    except (OSError, TimeoutError):
        pass
    writer.transport.abort()


async def storm(port: int) -> None:
    """Hold all sessions, some at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def guarded(number: int) -> None:
        async with gate:
            await session(port, random.Random(number))  # noqa: S311 - a seed to repeat it with

    await asyncio.gather(*(guarded(number) for number in range(SESSIONS)))


def memory(pid: int) -> int:
    """Return the resident octets of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """Return how many descriptors a process holds."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.system
@pytest.mark.fuzz
def test_hostile_octets_change_nothing(up: Callable[..., Running]) -> None:
    """Planted fault: a dialect that raised on ``BDAT -1`` showed a traceback here."""
    running = up("", "--quiet", "--no-watch")
    (worker,) = children(running.process.pid)
    asyncio.run(storm(running.ports["smtp"]))  # warm: caches are filled
    before, held = memory(worker), descriptors(worker)
    asyncio.run(storm(running.ports["smtp"]))
    assert eventually(lambda: descriptors(worker) <= held + 2)
    assert memory(worker) - before < GROWTH
    assert children(running.process.pid) == [worker]  # it never died
    with smtplib.SMTP("127.0.0.1", running.ports["smtp"], timeout=20) as client:
        client.sendmail("a@example.org", ["b@example.com"], "Subject: after the storm\r\n\r\nx")
    assert running.stop() == 0
    assert not [line for line in running.printed if "Traceback" in line or "Error" in line]
    rows = running.rows("sessions")
    assert not [row for row in rows if row["end"] in ("open", "error")]
    running.run("journal", "verify")
