"""The Session: octets in pieces give the same as octets at once, and nothing is lost."""

import itertools
from collections.abc import Coroutine, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.errors import Gone
from trapline.events import Event, Greeted
from trapline.rehearsal import LOCAL, NOON, PEER
from trapline.session import DIALOGUE, OUTBOX, Content, Need, Session

PIECES = st.sampled_from([b"\r\n", b".", b"x", b"\r", b"\n", b"\r\n.", b"\0", b"\xff"])
BODIES = st.lists(PIECES, max_size=14).map(b"".join)


def session() -> Session:
    """Make a session whose facts go nowhere."""

    def forget(event: Event, content: bytes | bytearray, *, durable: bool) -> None:
        del event, content, durable

    return Session(PEER, LOCAL, NOON, forget)


def drive(stage: Session, verb: Coroutine[Need, None, Any], pieces: Iterable[bytes]) -> Any:  # noqa: ANN401
    """Feed the pieces whenever the verb waits for input, and return its result."""
    waiting = iter(pieces)
    try:
        while True:
            assert verb.send(None) is Need.INPUT
            if (piece := next(waiting, None)) is None:
                stage.end()
            else:
                stage.feed(piece)
    except StopIteration as end:
        return end.value


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    """Cut octets at the places (modulo their length) into pieces that are not empty."""
    marks = sorted({place % (len(octets) + 1) for place in places} | {0, len(octets)})
    return [octets[a:b] for a, b in itertools.pairwise(marks) if a < b]


def stuffed(body: bytes) -> bytes:
    """Stuff dots as RFC 5321 section 4.5.2 has it."""
    return (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]


@given(BODIES, st.lists(st.integers(0, 99), max_size=6))
def test_a_message_comes_out_as_it_went_in(body: bytes, places: list[int]) -> None:
    """Any body that ends in CR LF survives the wire, wherever the wire is cut.

    Planted fault: taking the start of a line from the undotted text let ``CR LF .`` at
    the end of a piece swallow a dot of the next.
    """
    body += b"\r\n"
    stage = session()
    wire = stuffed(body) + b".\r\nQUIT\r\n"
    pieces = iter(cut(wire, places))
    content: Content = drive(stage, stage.read_message(10**6), pieces)
    assert bytes(content.octets) == body
    assert content.size == len(body)
    assert not content.smuggling
    assert drive(stage, stage.read_line(99), pieces) == b"QUIT\r\n"


@given(BODIES, st.sampled_from([True, False, None]), st.integers(1, 9))
def test_a_message_at_once_is_the_same_as_octet_by_octet(
    body: bytes,
    loose: bool | None,  # noqa: FBT001 - as read_message has it
    limit: int,
) -> None:
    """Planted fault: the short way keeping more than the limit."""
    wire = body + b"\r\n.\r\n"
    once, slowly = session(), session()
    one: Content = drive(once, once.read_message(limit, loose=loose), [wire])
    pieces = [bytes([octet]) for octet in wire]
    two: Content = drive(slowly, slowly.read_message(limit, loose=loose), pieces)
    assert (bytes(one.octets), one.size, one.smuggling) == (
        bytes(two.octets),
        two.size,
        two.smuggling,
    )
    assert wire.endswith(once.peek(999))
    assert once.dialogue[-1] == slowly.dialogue[-1]


def test_an_empty_message_is_empty() -> None:
    """The end of data may come at once."""
    stage = session()
    content: Content = drive(stage, stage.read_message(99), [b".\r\nNOOP\r\n"])
    assert (bytes(content.octets), content.size) == (b"", 0)
    assert drive(stage, stage.read_line(99), []) == b"NOOP\r\n"


@given(st.lists(st.integers(0, 99), max_size=6))
def test_bare_lines_end_data_only_where_the_server_is_loose(places: list[int]) -> None:
    """``LF . LF`` is the smugglers' end of data."""
    wire = b"one\n.\nMAIL FROM:<a@b>\r\n.\r\n"
    loose, strict = session(), session()
    first: Content = drive(loose, loose.read_message(99, loose=True), cut(wire, places))
    assert (bytes(first.octets), first.smuggling) == (b"one\n", True)
    whole: Content = drive(strict, strict.read_message(99), cut(wire, places))
    assert bytes(whole.octets) == b"one\n.\nMAIL FROM:<a@b>\r\n"
    assert not whole.smuggling


def test_what_is_over_the_limit_is_counted_and_dropped() -> None:
    """A flood is read to its end, but not kept."""
    stage = session()
    pieces = [b"x" * 1000 + b"\r\n"] * 50 + [b".\r\n"]
    content: Content = drive(stage, stage.read_message(1500), pieces)
    assert (len(content.octets), content.size) == (1500, 50 * 1002)


def test_lines_come_whole_or_cut_at_the_limit() -> None:
    """A long line is handed out in pieces of the limit."""
    stage = session()
    pieces = [b"ab", b"c\ndefgh"]
    assert drive(stage, stage.read_line(5), pieces) == b"abc\n"
    assert drive(stage, stage.read_line(5), []) == b"defgh"
    assert drive(stage, stage.read_line(5), [b"ij\n"]) == b"ij\n"


def test_the_end_of_the_peer_is_told() -> None:
    """What came before the end can still be read; then the peer is gone."""
    stage = session()
    assert drive(stage, stage.read(10), [b"half"]) == b"half"
    with pytest.raises(Gone):
        drive(stage, stage.read_line(10), [])


def test_a_sized_read_keeps_only_the_limit() -> None:
    """BDAT announces its size; the limit holds all the same."""
    stage = session()
    content: Content = drive(stage, stage.read_sized(6, 4), [b"abc", b"defNOOP\r\n"])
    assert (bytes(content.octets), content.size) == (b"abcd", 6)
    assert stage.peek(9) == b"NOOP\r\n"


def test_a_slow_reader_stops_the_trap() -> None:
    """Replies pile up to a bound; then the trap waits for the peer."""
    stage = session()
    writing = stage.write(b"x" * (OUTBOX + 1))
    assert writing.send(None) is Need.DRAIN
    assert len(stage.outgoing()) == OUTBOX + 1
    stage.drained()
    with pytest.raises(StopIteration):
        writing.send(None)


def test_the_dialogue_is_bounded() -> None:
    """What does not fit into the record is counted, not kept."""
    stage = session()
    for _ in range(100):
        drive(stage, stage.read_line(999), [b"y" * 998 + b"\n"])
    assert sum(len(text) for _, _, text in stage.dialogue) <= DIALOGUE
    assert stage.unsaid >= 100 * 999 - DIALOGUE


def test_recording_waits_and_noting_does_not() -> None:
    """Only ``record`` may stand before a 250."""
    kept: list[tuple[Event, bool]] = []

    def keep(event: Event, content: bytes | bytearray, *, durable: bool) -> None:
        del content
        kept.append((event, durable))

    stage = Session(PEER, LOCAL, NOON, keep)
    fact = Greeted(verb="EHLO", name="x")
    stage.note(fact)
    recording = stage.record(fact)
    assert recording.send(None) is Need.COMMIT
    assert kept == [(fact, False), (fact, True)]


def test_nothing_said_before_tls_counts_after_it() -> None:
    """RFC 3207 section 4.2: a command injected in the clear is dropped."""
    stage = session()
    stage.feed(b"RSET\r\n")
    handshake = stage.start_tls()
    assert handshake.send(None) is Need.TLS
    assert stage.pending() == 0
    with pytest.raises(Gone):
        handshake.send(None)
