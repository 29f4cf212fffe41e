"""The measuring stick itself: it reads what is written, and it sees what differs."""

import functools

import msgspec
import pytest
from tests.fidelity import compare, fuzz, play, script
from tests.fidelity.play import Transcript
from tests.fidelity.real import HOST

from trapline import rooms
from trapline.persona import Identity
from trapline.traps.smtp import trap

HOME = Identity(HOST, b"fidelity")


def one(text: str) -> script.Dialogue:
    """Parse the one dialogue in a text."""
    (dialogue,) = script.parse("= it\n" + text)
    return dialogue


def test_lines_of_a_group_leave_in_one_packet() -> None:
    """What waits goes out with the first line that does not wait."""
    assert one("G: MAIL FROM:<a@b>\nG: RCPT TO:<c@d>\nC: DATA\nD: x\nC: .\n").steps == (
        script.Step(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", 3),
        script.Step(b"x\r\n.\r\n", 1),
    )


def test_escapes_repetitions_and_counts() -> None:
    """Octets are what the author meant; text beyond ASCII is UTF-8."""
    assert script.octets(r"a\r\n\0\xff\\{3*xy}ü") == b"a\r\n\0\xff\\xyxyxy\xc3\xbc"
    assert one("2 * R0: x\n").steps == (script.Step(b"x", 0), script.Step(b"x", 0))
    assert [step.how for step in one("E: x\nTLS\nW: 0.5\nF\n").steps] == [
        *("early", "tls", "wait", "end")
    ]


def test_a_line_that_is_none_is_refused_by_name() -> None:
    """Planted fault: a typo such as ``c: NOOP`` was skipped as a comment."""
    with pytest.raises(ValueError, match="c: NOOP"):
        list(script.parse("= it\nc: NOOP\n"))
    with pytest.raises(ValueError, match="line 1"):
        list(script.parse("C: NOOP\n"))


def test_names_of_dialogues_are_unique_and_there_are_enough() -> None:
    """The score of a persona means something only if there is much to fail at."""
    dialogues = script.load()
    assert len({dialogue.name for dialogue in dialogues}) == len(dialogues) >= 250
    assert sum(dialogue.commands() for dialogue in dialogues) >= 2000


@pytest.mark.parametrize(
    ("heard", "masked"),
    [
        (b"250 2.0.0 Ok: queued as BC1912B0296\r\n", b"250 2.0.0 Ok: queued as <id>\r\n"),
        (b"250 OK id=1xVQNc-00001M-39\r\n", b"250 OK id=<id>\r\n"),
        (b"220 x ESMTP Exim 4.96 Mon, 23 Nov 2026 09:09:04 +0000\r\n", b"<date>\r\n"),
        (
            b"250 2.0.0 6ANG4jLL000020 Message accepted for delivery\r\n",
            b"250 2.0.0 <id> Message accepted for delivery\r\n",
        ),
        (b"250 OK id=unlike-any\r\n", b"250 OK id=unlike-any\r\n"),
    ],
)
def test_only_what_cannot_be_the_same_twice_is_masked(heard: bytes, masked: bytes) -> None:
    """An id of the wrong form is a difference, so the mask must not swallow it."""
    assert compare.mask(heard).endswith(masked)


def test_one_changed_octet_is_a_difference() -> None:
    """Planted faults: a word, a line end and a closed connection; each must show."""
    dialogue = one("C: NOOP\n")
    truth = Transcript((b"220 x\r\n", b"250 OK\r\n"), closed=False)
    for wrong in (
        Transcript((b"220 x\r\n", b"250 Ok\r\n"), closed=False),
        Transcript((b"220 x\r\n", b"250 OK\n"), closed=False),
        Transcript((b"220 x\r\n", b"250 OK\r\n"), closed=True),
    ):
        same, rows = compare.score(compare.rows(dialogue, truth, wrong))
        assert (same, rows) == (2, 3)
    assert compare.score(compare.rows(dialogue, truth, truth)) == (3, 3)


def test_a_difference_is_shown_where_it_begins_and_is_safe_to_print() -> None:
    """Octets of strangers never reach the terminal as they are."""
    dialogue = one(r"C: NOOP \x1b[31m" + "\n")
    truth = Transcript((b"220 x\r\n", b"250 OK\r\n"), closed=False)
    other = Transcript((b"220 x\r\n", b"500 \x1b[31m\r\n"), closed=False)
    shown = compare.diff(dialogue, compare.rows(dialogue, truth, other))
    assert "\x1b" not in shown
    assert shown.splitlines()[-2:] == ["- S: 250 OK", r"+ S: 500 \x1b[31m"]


def test_a_persona_with_one_wrong_word_does_not_reach_100_percent() -> None:
    """The planted fault of the whole harness, on a persona that is otherwise right."""
    right = rooms.persona("exim-4.96")
    wrong = msgspec.structs.replace(right, replies=right.replies | {"RSET": "250 Reset ok"})
    dialogue = one("C: RSET\nC: QUIT\n")
    told = [
        play.in_memory(dialogue, functools.partial(trap, persona=who, identity=HOME))
        for who in (right, wrong)
    ]
    assert [row.same for row in compare.rows(dialogue, *told)] == [True, False, True, True]


def test_memory_sees_a_handshake_fail_and_a_peer_leave() -> None:
    """What TCP would show, memory shows: silence, an end, a farewell."""
    exim = functools.partial(trap, persona=rooms.persona("exim-4.96"), identity=HOME)
    told = play.in_memory(one("C: EHLO x\nC: STARTTLS\nC: NOOP\n"), exim)
    assert (told.heard[-1], told.closed) == (b"", True)
    told = play.in_memory(one("C: EHLO x\nC: STARTTLS\nTLS\nC: NOOP\n"), exim)
    assert (told.heard[-2:], told.closed) == ((play.AGREED, b"250 OK\r\n"), False)
    told = play.in_memory(one("R0: NOO\nF\n"), exim)
    assert told.heard[-1] == f"421 {HOST} lost input connection\r\n".encode()


def test_a_seed_gives_the_same_dialogues_for_ever() -> None:
    """A difference found by chance must be found again."""
    assert fuzz.dialogues(7, 5) == fuzz.dialogues(7, 5) != fuzz.dialogues(8, 5)
