"""Headers: decoded whatever they claim, and a Received chain read as servers write it."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.analysis import headers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
        ("=?utf-8?B?R3LD?= =?utf-8?B?vMOfZQ==?=", "Grüße"),  # split within a character
        ("=?iso-8859-1?Q?Gr=FC=DFe_da?= x", "Grüße da x"),
        ("=?utf-8?Q?Gr=FC=DFe?=", "Grüße"),  # lies about its charset
        ("=?no-such?B?aGVsbG8=?=", "hello"),
        ("=?utf-8*en?Q?hi?=", "hi"),
        ("=?gb2312?B?xOO6w6OsysC95w==?=", "你好\uff0c世界"),
        ("=?utf-8?B?broken", "=?utf-8?B?broken"),
        ("a =?utf-8?Q?b?= c", "a b c"),
        ("Gr\xc3\xbc\xc3\x9fe", "Grüße"),  # raw 8-bit
        ("=?idna?Q?x=FF?=", "xÿ"),
    ],
)
def test_encoded_words(value: str, text: str) -> None:
    """RFC 2047, and what mail makes of it."""
    assert headers.decoded(value) == text


@given(st.text(st.characters(max_codepoint=255)), st.text(max_size=20))
def test_any_header_decodes(value: str, charset: str) -> None:
    """Planted fault: a charset with a NUL in it raised ValueError from codecs.lookup."""
    headers.decoded(value)
    headers.decoded(f"=?{charset}?B?{value}?= =?{charset}?q?{value}?=")
    headers.text(value.encode("latin-1"), charset)[0].encode("utf-8")


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("from helo.example (rdns.example [198.51.100.7]) by mx.example", "198.51.100.7"),
        ("from [198.51.100.7] (helo=[10.0.0.1]) by mx.example with smtp", "198.51.100.7"),
        ("from unknown (HELO [10.9.8.7]) (198.51.100.7) by mx with SMTP", "198.51.100.7"),
        ("from x (unknown [IPv6:2001:db8::7]) by mx", "2001:db8::7"),
        ("from x ([::ffff:198.51.100.7]) by mx", "198.51.100.7"),
        ("from [10.0.0.1] (host.example [198.51.100.7] (may be forged)) by mx", "198.51.100.7"),
        ("(qmail 1234 invoked by uid 99); 1 Jan 2003", ""),
        ("by mx.example (Postfix) id 1234 from 198.51.100.7", ""),
        ("from x ([999.1.1.1]) by mx", ""),
    ],
)
def test_hops(field: str, address: str) -> None:
    """What the server saw is preferred to what the client said of itself."""
    assert headers.hop(field) == address


def test_the_origin_is_the_first_stranger() -> None:
    """Planted fault: walking past the first untrusted hop took a forged line for the origin."""
    ours = (ipaddress.ip_network("203.0.113.0/24"),)
    chain = ("203.0.113.9", "192.168.1.1", "198.51.100.7", "198.51.100.99")
    assert headers.origin("203.0.113.5", chain, ours) == "198.51.100.7"
    assert headers.origin("198.51.100.1", chain, ours) == "198.51.100.1"
    assert headers.origin("10.0.0.1", (), ours) == ""


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("Re: FW: Invoice 4711 overdue", "invoice # overdue"),
        ("RE[2]: Hello  friend!", "hello friend"),
        ("Hi", ""),
        ("12345", ""),
    ],
)
def test_copies_of_a_subject_have_one_key(subject: str, key: str) -> None:
    """Numbers, answers, case and spaces differ between copies."""
    assert headers.subject_key(subject) == key


@given(st.text(max_size=80))
def test_a_subject_key_is_its_own_key(subject: str) -> None:
    """The court looks genuine subjects up by their keys; keys must not move."""
    key = headers.subject_key(subject)
    assert headers.subject_key(key) == key
