"""What all parts of the Postfix dialect share: numbers, refusals, and what errors cost.

Must not be in here: commands.
"""

import msgspec

from trapline.dialects._queue_ids import QueueIds
from trapline.persona import Identity, Persona
from trapline.smtpwords import Act, Answer, Answers, Dialogue


class Base:
    """The numbers and texts of a persona, and how a refusal is counted."""

    def __init__(self, persona: Persona, identity: Identity) -> None:
        self.persona, self.identity, self.limits = persona, identity, persona.limits
        self.answers = Answers(persona)
        self.line, self.most = self.limits["line"], self.limits["recipients"]
        self.keep = self.limits["size"]
        self.loose, self.splits = bool(persona.traits["bare_lf"]), False
        self.shuts = bool(persona.traits["shut_long"])
        self.waits_for_turn = bool(persona.traits["forbid_pipelining"])
        self.forbidden = frozenset(persona.words("forbidden"))
        self.mechanisms = persona.words("mechanisms")
        self.queue_ids = QueueIds(identity, long_form=bool(persona.traits["long_ids"]))
        self.mail_ok, self.rcpt_ok = (persona.reply(f"{verb}_OK") for verb in ("MAIL", "RCPT"))
        self.kept = persona.reply("KEPT", {"id": "\0"}).split(b"\0")
        self.local = frozenset((identity.host.lower(), "localhost"))

    def settle(self, answer: Answer, errors: int, talk: Dialogue) -> Answer:
        """Add the delay that ``errors`` so far cost, and the end that they lead to."""
        if not errors and not talk.errors:
            return answer
        wait = 0.0
        if errors >= self.limits["soft_errors"]:
            wait = float(self.limits["error_seconds"] * max(1, answer.reply.count(b"\n")))
        if talk.errors < self.limits["hard_errors"] or answer.act is Act.CLOSE:
            return msgspec.structs.replace(answer, wait=wait) if wait else answer
        end = self.say("TOO_MANY_ERRORS", host=self.identity.host).reply
        wait += self.limits["error_seconds"]
        return msgspec.structs.replace(
            answer, reply=answer.reply + end, wait=wait, hang_up=True
        )

    def refuse(
        self, name: str, talk: Dialogue, act: Act = Act.SAY, /, **fields: object
    ) -> Answer:
        """Refuse; that counts as an error."""
        talk.errors += 1
        return (
            self.answers.worded(name, fields, act) if fields else self.answers.fixed(name, act)
        )

    def say(self, name: str, act: Act = Act.SAY, /, **fields: object) -> Answer:
        return self.answers.worded(name, fields, act)


def forget(talk: Dialogue) -> None:
    """Forget what belongs to one envelope: all but that EHLO was said."""
    talk.scratch = {"esmtp": True} if "esmtp" in talk.scratch else {}
