"""Proof: read back what took effect, and compare it with what was meant.

A format with ``live`` (nftables) is compared as a whole; others are asked for some of the
listed and some of the withdrawn addresses, by the operator's ``check`` command, in which
``{address}`` stands for an address and ``{reverse}`` for its name under a DNS list.

Must not be in here: what to do where they differ.
"""

import time
from collections.abc import Sequence
from types import ModuleType
from typing import Final

from trapline.addresses import Network, inside, network
from trapline.deliver.orders import Failed, run
from trapline.listings import Listing

SECONDS: Final = 5.0  # servers may need a moment to take the new file up
SAMPLES: Final = 3
MARK: Final = "Trapline case "  # what every answer of ours holds


def written(there: bytes | None, meant: bytes) -> None:
    """Compare the file as it is read again with what was written.

    Raises:
        Failed: somebody else wrote there, or the disk did not take it.
    """
    if there != meant:
        raise Failed("what was read back is not what was written")


def effective(
    form: ModuleType,
    check: Sequence[str],
    listings: Sequence[Listing],
    removed: Sequence[str],
) -> None:
    """Return when the reader of the file says what was meant.

    Raises:
        Failed: it still says something else after some seconds.
    """
    until = time.monotonic() + SECONDS
    while check:
        try:
            if hasattr(form, "live"):
                _same(form.live(run(check)), form.carried(listings))
            else:
                _asked(check, listings, removed)
        except (Failed, ValueError, KeyError, TypeError) as trouble:
            if time.monotonic() > until:
                raise Failed(f"check: {trouble}") from None
            time.sleep(0.25)
        else:
            return


def _same(live: frozenset[str], wanted: frozenset[str]) -> None:
    if live != wanted:
        lost, more = sorted(wanted - live), sorted(live - wanted)
        raise Failed(f"{len(lost)} missing {lost[:3]}, {len(more)} too many {more[:3]}")


def _asked(check: Sequence[str], listings: Sequence[Listing], removed: Sequence[str]) -> None:
    """Ask for some listings one by one, and for some that were withdrawn."""
    nets = {x.network: x.reason for x in listings if x.network is not None}
    for net in _some(list(nets)):
        alone = net.num_addresses == 1 and not _covered(net, nets)
        wanted = nets[net] if alone else MARK  # a network around it may answer for it
        if wanted not in (answer := run(_filled(check, net), any_status=True)):
            raise Failed(f"{net} is listed, and the answer is {answer[:200]!r}")
    if not any("{" in word for word in check):
        return  # it answers for the whole list, not for one address
    gone = [found for text in removed if (found := network(text)) is not None]
    for net in _some([net for net in gone if not _covered(net, nets)]):
        if MARK in (answer := run(_filled(check, net), any_status=True)):
            raise Failed(f"{net} was withdrawn, and the answer is {answer[:200]!r}")


def _some(nets: list[Network]) -> list[Network]:
    """Return the first, the last and some between."""
    step = max(1, len(nets) // SAMPLES)
    return list(dict.fromkeys([*nets[::step][:SAMPLES], *nets[-1:]]))


def _covered(net: Network, nets: dict[Network, str]) -> bool:
    """Tell whether another listed network holds this one's first address."""
    return any(other != net and (inside(net, other) or inside(other, net)) for other in nets)


def _filled(check: Sequence[str], net: Network) -> list[str]:
    address = net.network_address
    name = address.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
    return [w.replace("{address}", str(address)).replace("{reverse}", name) for w in check]
