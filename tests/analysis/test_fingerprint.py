"""Fingerprint: the same for copies of one template, another for another message."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.analysis.fingerprint import fingerprint

OFFER = (
    "We proudly present our exclusive collection of luxury watches, handmade by famous Swiss "
    "craftsmen and delivered within three working days to every country. Customers everywhere "
    "appreciate excellent quality, friendly service and generous discounts throughout winter."
)
OTHER = (
    "Our committee regrets to inform the shareholders that the annual meeting planned for "
    "spring must be postponed until further notice, because several members fell seriously ill "
    "and replacement speakers could not be found despite considerable efforts by everybody."
)


def copy(number: int, *, html: bool = False) -> bytes:
    """Return one personalised copy of the offer."""
    dice = random.Random(number)  # noqa: S311 - a test's dice
    token = "".join(dice.choices("abcdefghijkmnpqrstuvwxyz0123456789", k=14))
    name = dice.choice(["Maria", "Muzaffer", "Giovanni", "Alexander"])
    text = f"Dear {name},\n{OFFER}\nhttp://shop{number}.example/{token}\nRef {number} {token}\n"
    body = f"<html><p>{text}</p></html>" if html else text
    kind = "html" if html else "plain"
    return (
        f"From: s{number}@spam.example\nTo: {name} <{name.lower()}.{number}@x.example>\n"
        f"Subject: {number}\nContent-Type: text/{kind}\n\n{body}"
    ).encode()


def test_personalised_copies_are_alike() -> None:
    """Planted fault: keeping tokens with digits in the words parted every two copies."""
    assert len({fingerprint(copy(number)) for number in range(50)}) == 1


def test_different_messages_differ() -> None:
    """Two texts without common long words never meet."""
    other = copy(1).replace(OFFER.encode(), OTHER.encode())
    assert fingerprint(other) != fingerprint(copy(1))


@pytest.mark.parametrize("body", [b"", b"\n\n", b"1234 http://x.example/abc"])
def test_nothing_to_go_by_gives_none(body: bytes) -> None:
    """Empty bodies are not all one campaign."""
    assert fingerprint(b"Subject: x\n\n" + body) == ""


def test_a_picture_alone_has_its_own() -> None:
    """Mail without words is told by what it carries."""
    head = b"Content-Type: image/png; name=a%d.png\nContent-Transfer-Encoding: base64\n\n"
    first, second = (fingerprint(head % n + b"iVBORw0KGgo=") for n in (1, 2))
    assert first == second != fingerprint(head % 3 + b"iVBORw1KGgo=")


@given(st.binary(max_size=200))
def test_any_octets_have_one(octets: bytes) -> None:
    """It is short, printable, and the same each time."""
    found = fingerprint(octets)
    assert found == fingerprint(octets)
    assert len(found) <= 16
    assert found.isascii()
