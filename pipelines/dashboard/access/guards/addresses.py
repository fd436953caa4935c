"""Addresses as the panel counts them: a household's IPv6 addresses are one place."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
LONGEST = 60
# Whoever has one IPv6 address has all of its /64.
IPV6_PLACE = 64


def place_of(address: str) -> str:
    """Return what counts as one place, such as an IPv4 address or an IPv6 network.

    Examples
    --------
    >>> place_of("192.0.2.7"), place_of("::ffff:192.0.2.7"), place_of("2001:db8::1:2")
    ('192.0.2.7', '192.0.2.7', '2001:db8::/64')
    """
    try:
        known = ip_address(address)
    except ValueError:
        return address[:LONGEST]
    if isinstance(known, IPv6Address):
        if known.ipv4_mapped is None:
            return str(ip_network((int(known), IPV6_PLACE), strict=False))
        known = known.ipv4_mapped
    return str(known)


def is_within(address: str, networks: tuple[Network, ...]) -> bool:
    """Tell whether an address belongs to one of some networks."""
    try:
        known = ip_address(address)
    except ValueError:
        return False
    if isinstance(known, IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    return any(known in network for network in networks)
