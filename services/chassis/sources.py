"""Who strangers are to us: an address, or the network that whoever has one address of it has as a whole."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address, an IPv4 one that is written as IPv6 (RFC 4291 §2.5.5.2) as what it is; None if it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def source_of(text: str) -> str:
    """What counts as one: an IPv4 address, or an IPv6 network of 64 bits: whoever has one address has them all."""
    address = read_address(text)
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(address.packed[:8] + bytes(8))}/64"
    return text if address is None else str(address)
