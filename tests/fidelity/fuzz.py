"""Random dialogues, the same for the same seed: what no author of dialogues would think of.

Most of a dialogue is plausible, so that it gets somewhere; pieces of it are bent.

Must not be in here: playing and comparing.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from tests.fidelity.script import Dialogue, Step

T = TypeVar("T")

GREETINGS: Final = (
    "EHLO x.example",
    "EHLO x.example",
    "EHLO x.example",
    "HELO x.example",
    "EHLO [192.0.2.7]",
    "ehlo y",
)
LOCALS: Final = (
    "a",
    "a.b",
    '"a b"',
    "a+b",
    "postmaster",
    "a%b",
    "b!a",
    "",
    '"a',
    "a\\",
    ".a",
    "a..b",
    "a b",
    "<",
    "(c)a",
    "m\xfc",
    '""',
    "a@b",
    "@a:b",
    "@a,@b:c",
    "a;b",
    "a,b",
    "\\@",
    "x" * 70,
)
DOMAINS: Final = (
    "b.org",
    "B.Org",
    "b",
    "",
    "[192.0.2.1]",
    "[IPv6:2001:db8::1]",
    "[1.2.3]",
    "b.org.",
    "b..org",
    "-b.org",
    "b_c.org",
    "m\xfc.org",
    "b.org(c)",
    "1.2.3.4",
    "b-.org",
    "b.1",
    "[b.org]",
    "b org",
    "d" * 64 + ".org",
)
PARAMETERS: Final = (
    "SIZE=100",
    "SIZE=99999999",
    "SIZE=x",
    "SIZE=",
    "SIZE",
    "BODY=8BITMIME",
    "BODY=7BIT",
    "BODY=x",
    "BODY",
    "SMTPUTF8",
    "SMTPUTF8=1",
    "RET=FULL",
    "RET=x",
    "ENVID=a+2Bb",
    "ENVID=",
    "AUTH=<>",
    "AUTH=a@b",
    "AUTH=+zz",
    "NOTIFY=NEVER",
    "NOTIFY=SUCCESS,DELAY",
    "NOTIFY=x",
    "ORCPT=rfc822;a@b.org",
    "ORCPT=x",
    "FOO=bar",
    "FOO",
    "=",
    "a=b=c",
    'X="y z"',
)
PLAIN: Final = (
    "NOOP",
    "NOOP x",
    "RSET",
    "RSET x",
    "HELP",
    "HELP MAIL",
    "VRFY a",
    "VRFY a@b.org",
    "VRFY <a@b.org>",
    "VRFY",
    "EXPN a",
    "ETRN b.org",
    "ETRN #b.org",
    "FOO",
    "FOO BAR",
    "",
    "DATA",
    "DATA x",
    "BDAT",
    "BDAT x",
    "BDAT 0",
    "AUTH PLAIN AGEAYg==",
    "AUTH LOGIN",
    "AUTH",
    "HELO",
    "EHLO",
    "EHLO a b",
    "EHLO a_b",
    "TURN",
    "XCLIENT NAME=x",
    "MAIL",
    "RCPT",
    "MAIL FROM:",
    "RCPT TO:",
)
BODIES: Final = (
    "x\r\n.\r\n",
    "Subject: x\r\n\r\nbody\r\n.\r\n",
    ".\r\n",
    "..\r\n.\r\n",
    "x\n.\r\n.\r\n",
    "x\r\n.\nx\r\n.\r\n",
    "X: y\r\n z\r\n\r\n..x\r\n.\r\n",
    "x\n\n.\n",
    "\r\n.\r\n",
    "x\rx\r\n.\r\n",
)
CHUNKS: Final = (
    "x",
    "X: y\r\n",
    "X: y\r\n\r\n",
    "X: y\r\n\r\nbody\r\n",
    "X: y\n",
    "no header\r\n",
    "\r\n",
    "body",
    "a\rb\r\n",
)
ENDS: Final = ("\r\n",) * 12 + ("\n", " \r\n", "\t\r\n", "\r\r\n")
JUNK: Final = ("\0", "\xff", "\t", " ", '"', "\\", "<", ">", "@", ":", "(", ")", ",", ";", "\r")


def dialogues(seed: int, count: int) -> list[Dialogue]:
    """Return ``count`` dialogues of a seed."""
    return [_Author(f"{seed}.{number}").write() for number in range(count)]


class _Author:
    """Makes one dialogue up."""

    def __init__(self, name: str) -> None:
        self.name, self.dice = f"fuzz {name}", random.Random(name)  # noqa: S311

    def write(self) -> Dialogue:
        steps: list[Step] = []
        if self.dice.random() < 0.9:
            steps.append(self.send(self.pick(GREETINGS)))
        for _ in range(self.dice.randint(1, 12)):
            steps += self.passage()
        if self.dice.random() < 0.7:
            steps.append(self.send("QUIT"))
        return Dialogue(self.name, tuple(steps))

    def passage(self) -> Iterator[Step]:
        makers: tuple[Callable[[], Iterator[Step]], ...] = (
            self.command,
            self.command,
            self.envelope,
            self.envelope,
            self.message,
            self.chunks,
            self.group,
        )
        return self.pick(makers)()

    def command(self) -> Iterator[Step]:
        yield self.send(self.bent(self.pick(PLAIN)))

    def envelope(self) -> Iterator[Step]:
        yield self.send(self.mail())
        for _ in range(self.dice.randint(1, 3)):
            yield self.send(self.rcpt())

    def message(self) -> Iterator[Step]:
        yield from self.opened()
        yield self.send("DATA")
        yield Step(self.pick(BODIES).encode("latin-1"))

    def chunks(self) -> Iterator[Step]:
        yield from self.opened()
        for _ in range(self.dice.randint(0, 2)):
            yield self.chunk("")
            if self.dice.random() < 0.3:
                yield self.send(self.pick(("NOOP", "RSET", "QUIT", "FOO", "DATA", "BDAT 0")))
        yield self.chunk(" LAST")

    def opened(self) -> Iterator[Step]:
        yield self.send("MAIL FROM:<a@b.org>")
        yield self.send("RCPT TO:<c@d.org>")

    def chunk(self, end: str) -> Step:
        octets = self.pick(CHUNKS)
        return Step(f"BDAT {len(octets)}{end}\r\n{octets}".encode("latin-1"))

    def group(self) -> Iterator[Step]:
        lines = [self.mail(), *(self.rcpt() for _ in range(self.dice.randint(1, 3)))]
        if self.dice.random() < 0.3:
            lines.insert(self.dice.randrange(len(lines)), self.pick(PLAIN))
        text = "".join(f"{line}\r\n" for line in lines)
        yield Step(text.encode("latin-1"), len(lines))

    def mail(self) -> str:
        return self.bent(f"MAIL FROM:{self.address()}{self.parameters()}")

    def rcpt(self) -> str:
        return self.bent(f"RCPT TO:{self.address()}{self.parameters()}")

    def address(self) -> str:
        if self.dice.random() < 0.5:
            return "<a@b.org>"
        local, domain = self.pick(LOCALS), self.pick(DOMAINS)
        text = f"{local}@{domain}" if domain or self.dice.random() < 0.3 else local
        return self.pick(
            (f"<{text}>", f"<{text}>", f"<{text}>", text, f"<{text}", f" <{text}>")
        )

    def parameters(self) -> str:
        if self.dice.random() < 0.7:
            return ""
        return "".join(" " + self.pick(PARAMETERS) for _ in range(self.dice.randint(1, 3)))

    def bent(self, text: str) -> str:
        """Change a character of a line, now and then."""
        if self.dice.random() > 0.15:
            return text
        at = self.dice.randint(0, len(text))
        return text[:at] + self.pick(JUNK) + text[at + self.dice.randint(0, 1) :]

    def send(self, text: str) -> Step:
        return Step((text + self.pick(ENDS)).encode("latin-1"))

    def pick(self, some: Sequence[T]) -> T:
        return self.dice.choice(some)
