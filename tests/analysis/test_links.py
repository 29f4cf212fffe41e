"""Links: found in text and HTML, written as found but for case; none is ever opened."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trapline.analysis import links


def test_urls_in_plain_text() -> None:
    """The sentence's punctuation is not the URL's."""
    text = "See http://Evil.Example/A?b=1. (or www.evil2.example/x), <HTTPS://c.example>!"
    assert list(links.in_text(text)) == [
        "http://evil.example/A?b=1",
        "http://www.evil2.example/x",
        "https://c.example",
    ]


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ('<a href="http://evil.example/x">', "http://evil.example/x"),
        ("<IMG SRC=http://evil.example/x>", "http://evil.example/x"),
        ("<a href='&#104;ttp://evil.example/x'>", "http://evil.example/x"),
        ('<a href="ht\n tp://evil.example/x">', "http://evil.example/x"),
        ('<a href="//evil.example/x">', "http://evil.example/x"),
        ("<p>go to http://evil.example/x now</p>", "http://evil.example/x"),
        ('<a href="http://evil.example/x" title="unclosed>text', "http://evil.example/x"),
    ],
)
def test_urls_in_html(source: str, url: str) -> None:
    """Entities, line ends and missing quotes are what browsers make of them."""
    assert url in links.in_html(source)[0]


def test_what_nobody_sees_is_no_text() -> None:
    """Comments, scripts and styles neither hide words nor add any."""
    found, shown = links.in_html(
        "<!-- http://a.example --><style>b{}</style>"
        "<script>'http://c.example'</SCRIPT >hi &amp; ho"
    )
    assert (found, shown.split()) == ([], ["hi", "&", "ho"])


@pytest.mark.parametrize(
    ("url", "host", "registered"),
    [
        ("http://user@evil.co.uk:80/x", "evil.co.uk", "evil.co.uk"),
        ("http://www.paypal.com@evil.example/", "evil.example", "evil.example"),
        ("http://a.b.github.io/x", "a.b.github.io", "b.github.io"),
        ("http://b\u00fccher.example/", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("http://evil\u3002example/", "evil.example", "evil.example"),
        ("http://198.51.100.7/x", "198.51.100.7", "198.51.100.7"),
        ("http://[2001:db8::1]/x", "[2001:db8::1]", "[2001:db8::1]"),
        ("http://nodots/", "", ""),
    ],
)
def test_hosts(url: str, host: str, registered: str) -> None:
    """Decoys before an ``@`` are not where a link leads."""
    assert links.host(url) == host
    assert links.registered(host) == registered


@given(st.text(max_size=200))
@example("http://" + 60 * "\u00fc" + ".example/")
def test_any_text_is_read(text: str) -> None:
    """Planted fault: a label that IDNA cannot encode raised UnicodeError."""
    for url in [*links.in_text(text), *links.in_html(text)[0], links.normal(text)]:
        links.registered(links.host(url))
        assert len(url) <= links.LENGTH + len("http://")


@pytest.mark.parametrize(
    "unit", ["<", "<div>", "<!--", "<script", 'href="', "http://", "www.", "&", "&#x", ")", " "]
)
def test_time_grows_with_length_alone(unit: str) -> None:
    """Planted fault: ``<[^>]*>`` for a tag read 256 KB of ``<`` to the end from each."""
    began = time.process_time()
    links.in_html("http://a.example/" + unit * (2**20 // len(unit)))
    list(links.in_text("http://a.example/" + unit * (2**18 // len(unit))))
    assert time.process_time() - began < 3.0
