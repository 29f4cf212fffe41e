"""Probes: relay tests are recognised by score, with the reasons; genuine habits are not."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.analysis.mail import HOUR, START, entry, offered, read

from trapline.analysis import probes
from trapline.events import EnvelopeDropped, Event, SessionOpened

US = "192.0.2.25"


def judged(octets: bytes, sender: str, *recipients: str, peer: str = "198.51.100.7") -> object:
    """Judge one first message."""
    one = entry(offered(octets, sender=sender, recipients=recipients), peer=peer)
    return probes.judge(probes.Memory(), one, read(one, octets))


@pytest.mark.parametrize(
    ("octets", "sender", "recipient"),
    [
        (b"Subject: 192.0.2.25:25\n\nBC_192.0.2.25\n", "a@spam.example", "box@mail.example"),
        (b"Subject: 25.2.0.192\n\n\n", "a@spam.example", "box@mail.example"),
        (b"Subject: c0000219\n\n\n", "a@spam.example", "box@mail.example"),
        (b"Subject: x\n\nid 3221226009\n", "a@spam.example", "box@mail.example"),
        (b"Subject: test\n\nQwe123rty456uiop789\n", "me@box.example", "me@box.example"),
        (b"Subject: hi\n\nhi\n", "spamtest@abuse.net", "relaytest@abuse.net"),
        (b"Subject: Proxy\n\nA test of third-party relay.\n", "a@x.example", "b@y.example"),
        (b"Subject: hi\n\nhi\n", "a@x.example", "b%y.example@[192.0.2.25]"),
    ],
)  # fmt: skip
def test_relay_tests_are_recognised(octets: bytes, sender: str, recipient: str) -> None:
    """Our address in any writing, tokens, known testers, odd forms.

    Planted fault: without the decimal form, the fourth went unseen.
    """
    probe = judged(octets, sender, recipient)
    assert isinstance(probe, probes.Probe)
    assert probe.score >= probes.SCORE
    assert probe.reasons


@pytest.mark.parametrize(
    ("octets", "sender", "recipients"),
    [
        (b"Subject: Buy now\n\nhttp://evil.example/\n", "a@spam.example", ["v@x.example"]),
        (b"Subject: hello dear\n\nyou won\n", "a@spam.example", ["v@x.example"]),
        (b"Subject: test\n\n192.0.2.25\n", "a@spam.example", ["a@x", "b@x", "c@x"]),
        (b"Subject: 1192.0.2.250\n\nx\n", "a@spam.example", ["v@x.example"]),
    ],
)
def test_spam_is_no_probe(octets: bytes, sender: str, recipients: list[str]) -> None:
    """Small, first and without links is how much mail looks: weak marks say little alone."""
    assert judged(octets, sender, *recipients) is None


def test_a_drop_box_is_remembered() -> None:
    """Who tests from elsewhere with the same box is known by it."""
    memory = probes.Memory()
    first = entry(offered(b"Subject: 192.0.2.25\n\n\n", recipients=["Box@mail.example"]))
    assert probes.judge(memory, first, read(first, b"Subject: 192.0.2.25\n\n\n"))
    octets = b"Subject: good day\n\nfriend\n"
    then = entry(offered(octets, recipients=["box@mail.example"]), peer="203.0.113.9")
    probe = probes.judge(memory, then, read(then, octets))
    assert probe
    assert "recipient tested before" in probe.reasons


FORMS = [  # of nmap's smtp-open-relay: sender, recipient
    ("", "relaytest@nmap.scanme.org"),
    ("antispam@nmap.scanme.org", "relaytest@nmap.scanme.org"),
    (f"antispam@[{US}]", "relaytest%nmap.scanme.org@mx.example"),
    (f"antispam@[{US}]", '"relaytest@nmap.scanme.org"'),
    (f"antispam@[{US}]", f"@[{US}]:relaytest@nmap.scanme.org"),
    (f"antispam@[{US}]", "nmap.scanme.org!relaytest@mx.example"),
]


@pytest.mark.parametrize("accepted", [True, False])
def test_nmap_is_recognised_by_its_envelopes(accepted: bool) -> None:  # noqa: FBT001
    """No message ever comes; refused recipients are asked for as well."""
    memory, found = probes.Memory(), []
    for at, (sender, recipient) in enumerate(FORMS):
        lists = ((recipient,), ()) if accepted else ((), (recipient,))
        event = EnvelopeDropped(sender=sender, recipients=lists[0], refused=lists[1])
        found.append(probes.judge(memory, entry(event, at=START + at, session="s")))
    assert all(found)


def test_another_scanner_is_known_by_the_series() -> None:
    """Names give nothing away; three odd envelopes in one session do."""
    memory = probes.Memory()
    found = [
        probes.judge(
            memory,
            entry(
                EnvelopeDropped(sender="a@b.example", recipients=(f"x{n}%y@z.example",)),
                at=START + n,
                session="s",
            ),
        )
        for n in range(3)
    ]
    assert found[-1]
    assert "series of envelopes" in found[-1].reasons


def test_asking_whether_a_sender_exists_is_no_probe() -> None:
    """Genuine servers call back with a null sender, again and again, and send nothing."""
    memory = probes.Memory()
    event = EnvelopeDropped(sender="", recipients=("someone@ours.example",), reason="quit")
    asked = (entry(event, at=START + n * HOUR, session=f"s{n}") for n in range(9))
    assert not any(probes.judge(memory, one) for one in asked)


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))))
def test_memory_is_bounded_and_fit_for_a_snapshot(heard: list[tuple[str, str, str]]) -> None:
    """Whatever is heard; what is no address has no network."""
    memory = probes.Memory()
    for sender, recipient, peer in heard:
        event: Event = EnvelopeDropped(sender=sender, recipients=(recipient,))
        probes.judge(memory, entry(event, peer=peer, session=peer))
        probes.judge(memory, entry(SessionOpened(), peer=peer))
    assert msgspec.json.decode(msgspec.json.encode(memory), type=probes.Memory) == memory


def test_the_oldest_is_forgotten_first() -> None:
    """Tables never grow past their limit."""
    table: dict[str, int] = {}
    for word in ("a", "b", "a", "c", "d"):
        probes.remember(table, word, 3)
    assert list(table) == ["a", "c", "d"]
