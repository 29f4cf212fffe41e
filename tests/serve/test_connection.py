"""A connection: whatever a peer does with its socket, the session is driven and recorded."""

from tests.serve.stage import answer, heard, rest, stage

from trapline.events import SessionClosed, SessionOpened

LETTER = b"DATA\r\n"


def test_a_dialogue_from_banner_to_quit() -> None:
    """What is said is recorded with who, when and how it ended."""
    with stage() as there, there.connect() as client:
        assert heard(client).startswith(b"220 mx1.")
        assert answer(client, b"HELO x\r\n") == b"250 ok\r\n"
        assert answer(client, b"QUIT\r\n") == b"221 bye\r\n"
        assert rest(client) == b""
        there.settle()
        (closed,) = there.journal.events(SessionClosed)
        assert closed.reason == "quit"
        assert [(who, text) for _, who, text in closed.dialogue][1:3] == [
            ("C", "HELO x\r\n"),
            ("S", "250 ok\r\n"),
        ]
        stamp = there.journal.kept[0][0]
        assert stamp.peer == "127.0.0.1"
        assert stamp.port == client.getsockname()[1]
        assert there.journal.events(SessionOpened) == [SessionOpened()]
        assert not there.connections()
