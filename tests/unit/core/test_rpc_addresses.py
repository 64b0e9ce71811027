"""Addresses of servers: what they may look like, and which only this machine can reach."""

import pytest

from jwcal.core.errors import ConfigurationError
from jwcal.core.rpc.addresses import Address


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("127.0.0.1:0", True),
        ("127.9.9.9:1", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("unix:/run/jwcal.sock", True),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("192.0.2.1:50051", False),
        ("orchestrator.jwcal.svc:50051", False),
        ("localhost.example.org:50051", False),
    ],
)
def test_an_address_is_read_written_and_known_to_be_local_or_not(text: str, local: bool) -> None:
    address = Address.parse(text)
    assert str(address) == text
    assert address.is_local is local


@pytest.mark.parametrize("text", ["", ":1", "host", "host:", "host:x", "host:-1", "host:65536", "::1:50051", "unix:"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no address|no socket"):
        Address.parse(text)


def test_the_chosen_port_takes_the_place_of_zero_and_sockets_have_none() -> None:
    assert str(Address.parse("[::1]:0").with_port(7)) == "[::1]:7"
    assert str(Address.parse("unix:/a").with_port(7)) == "unix:/a"
