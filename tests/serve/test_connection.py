"""A connection: whatever a peer does with its socket, the session is driven and recorded."""

import functools
import gc
import re
import select
import socket
import struct
import time

import pytest
from tests.serve.stage import LONG, Memory, Stage, answer, heard, rest, stage

from trapline.errors import TimedOut
from trapline.events import EnvelopeDropped, MailOffered, SessionClosed, SessionOpened
from trapline.persona import Identity, Persona
from trapline.serve import connection
from trapline.serve.loop import READ
from trapline.serve.plan import Limits
from trapline.serve.wire import LINES
from trapline.session import OUTBOX, Endpoint, Session

LETTER = b"DATA\r\nhello\r\n.\r\nQUIT\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST


def closed(there: Stage, count: int = 1) -> list[SessionClosed]:
    """Wait until so many sessions are recorded as over, and return them."""
    until = time.monotonic() + 10
    while True:
        there.settle()
        found: list[SessionClosed] = there.journal.events(SessionClosed)
        if len(found) >= count:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.01)


def flood(client: socket.socket, most: int = 8 * 2**20) -> int:
    """Send NOOPs until nobody takes them any more, and return how many octets went."""
    sent = 0
    try:
        while sent < most:
            sent += client.send(b"NOOP\r\n" * 1000)
    except TimeoutError:
        pass
    return sent


def test_a_dialogue_from_banner_to_quit() -> None:
    """What is said is recorded with who, when and how it ended."""
    with stage() as there, there.connect() as client:
        assert heard(client).startswith(b"220 mx1.")
        assert answer(client, b"HELO x\r\n") == b"250 ok\r\n"
        assert answer(client, b"QUIT\r\n") == b"221 bye\r\n"
        assert rest(client) == b""
        (end,) = closed(there)
        assert end.reason == "quit"
        assert (end.received, end.sent) == (8 + 6, 33 + 8 + 9)
        assert [(who, text) for _, who, text in end.dialogue][1:3] == [
            ("C", "HELO x\r\n"),
            ("S", "250 ok\r\n"),
        ]
        stamp = there.journal.kept[0][0]
        assert stamp.peer == "127.0.0.1"
        assert stamp.port == client.getsockname()[1]
        assert stamp.local == f"127.0.0.1:{there.address[1]}"
        assert there.journal.events(SessionOpened) == [SessionOpened()]
        assert not there.connections()


def test_octet_by_octet_is_the_same_as_at_once() -> None:
    """Pieces and batches give the same answers, and the same message."""
    with stage() as there:
        with there.connect() as client:
            client.sendall(LETTER)
            together = rest(client)
        with there.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for octet in LETTER:
                client.sendall(bytes([octet]))
            assert rest(client) == together
        closed(there, 2)
        bodies = [
            body for _, event, body in there.journal.kept if isinstance(event, MailOffered)
        ]
        assert bodies == [b"hello\r\n"] * 2


async def counting(
    session: Session, persona: Persona, identity: Identity, settings: object
) -> None:
    """Say how many octets lay there when the trap was woken."""
    del persona, identity, settings
    await session.write(b"220 %d unread\r\n" % session.pending())
    await session.read_line(100)


def test_who_talks_before_the_banner_is_found_out() -> None:
    """The octets are there when the trap is first stepped, and they are not lost.

    Planted: no read before the first step; the banner said 0.
    """
    with stage(counting) as there, socket.socket() as client, socket.socket() as polite:

        def talk() -> None:  # in the loop's thread: it cannot accept meanwhile
            client.connect(there.address)
            client.sendall(b"HELO x\r\n")
            polite.connect(there.address)

        there.call(talk)
        assert rest(client) == b"220 8 unread\r\n"
        assert heard(polite) == b"220 0 unread\r\n"
        assert closed(there)[0].received == 8


def test_who_hangs_up_before_the_banner_is_recorded() -> None:
    """A port scan is a session that ended, and holds nothing."""
    with stage() as there:

        def scan() -> None:
            with socket.socket() as client:
                client.connect(there.address)

        there.call(scan)
        assert closed(there)[0].reason == "gone"
        assert not there.connections()


@pytest.mark.parametrize("size", [LINES - 1, LINES, LINES + 1, 3 * LINES, 9 * LINES])
def test_what_fills_the_first_read_is_heard_to_its_end(size: int) -> None:
    """Nothing is lost or doubled where the small read ends and the large one begins.

    Planted: what lay behind the first read was dropped.
    """
    body = bytes(65 + n % 26 for n in range(size - 5)) + b"\r\n"
    with stage() as there, there.connect() as client:
        heard(client)
        assert answer(client, b"DATA\r\n") == b"354 go\r\n"
        assert answer(client, body + b".\r\n") == b"250 kept\r\n"
        (kept,) = [
            raw for _, event, raw in there.journal.kept if isinstance(event, MailOffered)
        ]
        assert kept == body


def test_ipv6_peers_are_named_as_such() -> None:
    """The address is the canonical text, the local end is in brackets."""
    with stage(six=True) as there, there.connect() as client:
        heard(client)
        there.settle()
        stamp = there.journal.kept[0][0]
        assert stamp.peer == "::1"
        assert stamp.local == f"[::1]:{there.address[1]}"


def test_nothing_is_promised_before_the_commit() -> None:
    """Planted: answering at once from ``take`` makes the journal empty at the 250."""

    class Slow(Memory):
        def commit(self, *, spare_nothing: bool = False) -> None:
            assert b"250" not in peeked(client)
            super().commit(spare_nothing=spare_nothing)

    def peeked(client: socket.socket) -> bytes:
        there_is = client.fileno() >= 0 and select.select([client], [], [], 0)[0]
        return client.recv(100, socket.MSG_PEEK) if there_is else b""

    with stage(journal=Slow()) as there, there.connect() as client:
        heard(client)
        assert answer(client, b"DATA\r\nx\r\n.\r\n", 2) == b"354 go\r\n250 kept\r\n"
        assert len(there.journal.events(MailOffered)) == 1


def test_a_full_disk_is_told_to_the_peer() -> None:
    """NotKept arrives in the trap, and the session goes on."""
    with stage() as there, there.connect() as client:
        heard(client)
        there.journal.full = True
        assert answer(client, b"DATA\r\nx\r\n.\r\n", 2).endswith(b"452 full\r\n")
        there.journal.full = False
        assert answer(client, b"DATA\r\nx\r\n.\r\n", 2).endswith(b"250 kept\r\n")


def test_many_messages_share_a_commit() -> None:
    """Fifty peers at once need far fewer than fifty commits."""
    with stage() as there:
        clients = [there.connect() for _ in range(50)]
        for client in clients:
            heard(client)
            answer(client, b"DATA\r\n")
        before = there.journal.commits
        for client in clients:
            client.sendall(b"x\r\n.\r\n")
        for client in clients:
            assert heard(client) == b"250 kept\r\n"
            client.close()
        assert there.journal.commits - before < 40
        assert len(there.journal.events(MailOffered)) == 50


def test_half_close_still_gets_its_answers() -> None:
    """A peer that sends all and shuts its side down is served to the end."""
    with stage() as there, there.connect() as client:
        client.sendall(b"HELO x\r\nDATA\r\nx\r\n.\r\n")
        client.shutdown(socket.SHUT_WR)
        assert rest(client).endswith(b"250 ok\r\n354 go\r\n250 kept\r\n")
        assert closed(there)[0].reason == "gone"


def test_a_reset_in_the_middle_leaves_nothing_open() -> None:
    """RST while DATA runs: gone, recorded, forgotten."""
    with stage() as there:
        client = there.connect()
        heard(client)
        answer(client, b"DATA\r\n")
        client.sendall(b"half a mess")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
        assert closed(there)[0].reason == "gone"
        assert not there.connections()
        assert not there.journal.events(MailOffered)


def test_a_peer_that_is_gone_when_its_message_is_kept() -> None:
    """The promise is kept though nobody hears it."""
    with stage() as there:
        client = there.connect()
        heard(client)
        answer(client, b"DATA\r\n")
        client.sendall(b"x\r\n.\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
        closed(there)
        assert len(there.journal.events(MailOffered)) <= 1
        assert not there.connections()


def test_a_slow_reader_does_not_pile_up_memory() -> None:
    """A long reply is written at the reader's pace; what waits is bounded.

    Planted: without stopping to read, the session's unread octets grow to all 8 MB sent.
    """
    with stage() as there, there.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        heard(client)
        client.sendall(b"LONG\r\n")
        client.settimeout(0.5)
        assert flood(client) < 8 * 2**20
        (one,) = there.connections()
        waiting = one._session.pending()
        assert waiting <= connection.UNREAD * 2 + 2**18
        client.settimeout(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**18)
        got = bytearray()
        while b"\n" not in got:
            got += client.recv(65536)
        assert got.startswith(b"x" * LONG + b"250 long\r\n")


def test_replies_that_pile_up_stop_the_trap() -> None:
    """A peer that pipelines and never reads gets no more than the outbox holds."""
    with stage() as there, there.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.5)
        flood(client)
        (one,) = there.connections()
        assert len(one._unsent) <= OUTBOX + 2**18


def test_a_pause_lets_time_pass_and_hears_early_talk() -> None:
    """What comes while the trap waits is there when it wakes."""
    with stage() as there, there.connect() as client:
        heard(client)
        began = time.monotonic()
        client.sendall(b"WAIT\r\n")
        time.sleep(0.05)
        assert answer(client, b"NOOP\r\n") == b"250 waited, 6 unread\r\n"
        assert 0.2 <= time.monotonic() - began < 2
        assert heard(client) == b"250 ok\r\n"


def test_silence_ends_a_session() -> None:
    """The idle limit counts from the last octet; slow loris meets the total limit."""
    limits = Limits(idle_seconds=0.4, session_seconds=60)
    with stage(limits=limits) as there, there.connect() as client:
        heard(client)
        began = time.monotonic()
        for _ in range(4):
            time.sleep(0.2)
            assert answer(client, b"NOOP\r\n") == b"250 ok\r\n"
        assert rest(client) == b""
        assert 1.1 < time.monotonic() - began < 3
        assert closed(there)[0].reason == "timeout"


def test_a_slow_loris_meets_the_total_limit() -> None:
    """An octet now and then keeps nobody for ever; the words are the persona's."""
    limits = Limits(idle_seconds=60, session_seconds=0.6)
    with stage(limits=limits) as there, there.connect() as client:
        heard(client)
        began = time.monotonic()
        got = b""
        client.settimeout(0.1)
        while time.monotonic() - began < 5:
            try:
                client.sendall(b"x")
                if not (piece := client.recv(100)):
                    break
                got += piece
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert time.monotonic() - began < 2
        assert b"421" in got
        assert closed(there)[0].reason == "limit"


def test_a_flood_of_octets_meets_the_limit() -> None:
    """Octets of one session are bounded, message or not."""
    with stage(limits=Limits(session_octets=10_000)) as there, there.connect() as client:
        heard(client)
        answer(client, b"DATA\r\n")
        client.settimeout(10)
        try:
            for _ in range(100):
                client.sendall(b"x" * 1000)
            rest(client)
        except ConnectionError:
            pass
        (end,) = closed(there)
        assert end.reason == "limit"


def test_an_error_in_a_trap_is_for_the_operator_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The peer sees the connection close; standard error gets one traceback a place."""
    with stage() as there:
        for _ in range(3):
            with there.connect() as client:
                heard(client)
                assert answer(client, b"BOOM\r\n") == b""
        assert [end.reason for end in closed(there, 3)] == ["error"] * 3
        assert not there.connections()
    assert capfd.readouterr().err.count("Traceback") == 1


def test_what_a_trap_notes_on_its_way_out_is_kept() -> None:
    """A note in ``finally`` comes before session.closed, whoever ended it."""

    async def noting(
        session: Session, persona: Persona, identity: Identity, settings: object
    ) -> None:
        del persona, identity, settings
        try:
            await session.read_line(100)
        finally:
            session.note(EnvelopeDropped(sender="", recipients=(), reason="gone"))

    with stage(noting) as there:
        there.connect().close()
        closed(there)
        kinds = [type(event) for _, event, _ in there.journal.kept]
        assert kinds == [SessionOpened, EnvelopeDropped, SessionClosed]


def test_a_trap_that_answers_a_timeout_is_heard() -> None:
    """TimedOut is thrown in; what the trap says then is sent."""

    async def polite(
        session: Session, persona: Persona, identity: Identity, settings: object
    ) -> None:
        del persona, identity, settings
        try:
            await session.read_line(100)
        except TimedOut:
            session.closing = "timeout"
            await session.write(b"421 too slow\r\n")

    with stage(polite, limits=Limits(idle_seconds=0.2)) as there, there.connect() as client:
        assert rest(client) == b"421 too slow\r\n"
        assert closed(there)[0].reason == "timeout"


def test_a_thousand_at_once() -> None:
    """All are greeted, all are recorded, none is left; ids differ."""
    with stage(limits=Limits(per_peer=1000)) as there:
        clients = [there.connect() for _ in range(1000)]
        for client in clients:
            client.sendall(LETTER)
        for client in clients:
            assert b"250 kept" in rest(client)
            client.close()
        assert len(closed(there, 1000)) == 1000
        assert len(there.journal.events(MailOffered)) == 1000
        sessions = {
            s.session for s, event, _ in there.journal.kept if isinstance(event, SessionClosed)
        }
        assert len(sessions) == 1000


def test_a_closed_connection_is_freed_without_the_collector() -> None:
    """Planted: leaving the recorder in place keeps session and connection alive together."""

    def alive() -> int:
        return sum(isinstance(one, connection.Connection) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        with stage() as there:
            before = alive()
            with there.connect() as client:
                heard(client)
                assert alive() == before + 1
            closed(there)
            assert alive() == before
    finally:
        gc.enable()


def test_a_stop_lets_a_running_message_come_in() -> None:
    """Who is idle is told so; who is in DATA finishes, and then is told."""
    with stage() as there, there.connect() as idle, there.connect() as busy:
        heard(idle)
        heard(busy)
        answer(busy, b"DATA\r\n")
        busy.sendall(b"half")
        time.sleep(0.1)
        for one in there.connections():
            there.call(functools.partial(one.dismiss, "stopped", wait=True))
        assert re.fullmatch(rb"421 mx1\S+ going down\r\n", rest(idle))
        busy.sendall(b" and half\r\n.\r\n")
        assert re.fullmatch(rb"250 kept\r\n421 mx1\S+ going down\r\n", rest(busy))
        assert [end.reason for end in closed(there, 2)] == ["stopped"] * 2
        assert len(there.journal.events(MailOffered)) == 1


def test_an_error_of_our_own_ends_one_connection_only(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What nobody expected is shown to the operator; the others are served."""
    with stage() as there, there.connect() as first, there.connect() as second:
        heard(first)
        heard(second)
        step = connection.Connection._step

        def failing(self: connection.Connection, failure: Exception | None = None) -> None:
            if self._session.peek(4) == b"FAIL":
                raise KeyError("planted")
            step(self, failure)

        monkeypatch.setattr(connection.Connection, "_step", failing)
        assert answer(first, b"FAIL\r\n") == b""
        assert answer(second, b"NOOP\r\n") == b"250 ok\r\n"
        assert len(there.connections()) == 1
        monkeypatch.undo()
    assert "planted" in capfd.readouterr().err


def test_a_quick_flood_makes_way_for_others() -> None:
    """However much was pipelined, a turn ends with the outbox full.

    Planted: going on at once when all was sent answers 40,000 commands in one turn.
    """
    with stage() as there:
        there.call(lambda: setattr(there, "stopped", True))
        there.thread.join()
        flooding, ours = socket.socketpair()
        with flooding:
            flooding.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
            flooding.sendall(b"NOOP\r\n" * 20_000)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
            end = Endpoint("192.0.2.1", 1)
            there.guests.enter(end.address, 0.0)
            one = connection.Connection(there.place, ours, end, end)
            one.ready(READ)
            assert there.loop.soon == [one]
            assert one._session.pending() > 60_000
            while there.loop.soon:
                there.loop._go_on()
            assert one._session.pending() == 0
