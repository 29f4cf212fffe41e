"""Listening: addresses become sockets, and handed-over sockets find their trap."""

import os
import socket

import pytest

from trapline.errors import TraplineError
from trapline.serve import listen
from trapline.serve.plan import Listener, Plan

RELAY = Listener(name="relay", kind="smtp", address="127.0.0.1", port=0, persona="x")


def plan(*listeners: Listener, workers: int = 1) -> Plan:
    """Return a plan with these listeners."""
    return Plan(listeners=listeners, home="/nowhere", workers=workers)


def close(opened: list[listen.Open]) -> None:
    """Close all sockets."""
    for one in opened:
        for each in one.sockets:
            each.close()


def test_each_worker_has_a_socket_on_the_same_free_port() -> None:
    """The first settles the port, whatever the plan says."""
    busy = socket.create_server(("127.0.0.1", 0))
    taken = Listener(
        name="a", kind="smtp", address="127.0.0.1", port=busy.getsockname()[1], persona="x"
    )
    six = Listener(name="b", kind="smtp", address="::1", port=1, persona="x")
    opened = listen.everything(plan(taken, six, workers=3), {"TRAPLINE_PORTS": "0"}, [])
    try:
        for one in opened:
            assert len({each.getsockname()[:2] for each in one.sockets}) == 1
            assert len({one.of(worker).fileno() for worker in range(3)}) == 3
        assert str(opened[1]) == f"smtp [::1]:{opened[1].port}"
        assert opened[0].port != taken.port
    finally:
        close(opened)
        busy.close()


def test_a_taken_address_is_told_by_name() -> None:
    """The operator learns which, and why; nothing stays open."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        wanted = Listener(name="a", kind="smtp", address="127.0.0.1", port=port, persona="x")
        with pytest.raises(
            TraplineError, match=rf"127\.0\.0\.1:{port}: Address already in use"
        ):
            listen.everything(plan(wanted), {}, [])


def test_an_address_that_is_not_ours() -> None:
    """The same for an address of another machine."""
    other = Listener(name="a", kind="smtp", address="192.0.2.1", port=25, persona="x")
    with pytest.raises(TraplineError, match=r"cannot listen on 192\.0\.2\.1:25"):
        listen.everything(plan(other), {}, [])


@pytest.mark.parametrize(("name", "port_of"), [("relay", False), ("anything", True)])
def test_activation_finds_its_listener(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    port_of: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """By name whatever the port, or by the port whatever the name."""
    given = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(listen, "FIRST", given.fileno())
    port = given.getsockname()[1] if port_of else 25
    there = plan(
        Listener(name="other", kind="smtp", address="127.0.0.2", port=port, persona="x"),
        Listener(name="relay", kind="smtp", address="127.0.0.1", port=port, persona="x"),
    )
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": name}
    (found,) = listen.handed_over(there, environment)
    assert found.listener is there.listeners[1]
    assert found.port == given.getsockname()[1]
    everything = listen.everything(there, {"TRAPLINE_PORTS": "0"}, [found])
    assert everything[1] is found
    everything[0].sockets[0].close()
    found.sockets[0].detach()
    given.close()


def test_activation_for_another_process_is_left_alone() -> None:
    """LISTEN_PID is not ours: the descriptors are somebody else's."""
    assert listen.handed_over(plan(RELAY), {"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []


def test_a_socket_that_fits_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers would hang in it."""
    given = socket.create_server(("127.0.0.3", 0))
    monkeypatch.setattr(listen, "FIRST", given.fileno())
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    with pytest.raises(TraplineError, match="no trap listens there"):
        listen.handed_over(plan(RELAY), environment)
    given.detach()


def test_an_unspecified_address_covers_the_others() -> None:
    """A socket unit often says just a port."""
    assert listen._covers("::", "192.0.2.1")
    assert listen._covers("0.0.0.0", "192.0.2.1")  # noqa: S104 - compared
    assert not listen._covers("0.0.0.0", "::1")  # noqa: S104 - compared
    assert not listen._covers("192.0.2.2", "192.0.2.1")


def test_a_port_that_is_shared_is_taken_too() -> None:
    """Planted fault: without the first, unshared bind a second `up` takes half of the peers."""
    free = Listener(name="a", kind="smtp", address="127.0.0.1", port=1, persona="x")
    opened = listen.everything(plan(free), {"TRAPLINE_PORTS": "0"}, [])
    try:
        wanted = Listener(
            name="b", kind="smtp", address="127.0.0.1", port=opened[0].port, persona="x"
        )
        with pytest.raises(TraplineError, match="Address already in use"):
            listen.everything(plan(wanted, workers=2), {}, [])
    finally:
        close(opened)
