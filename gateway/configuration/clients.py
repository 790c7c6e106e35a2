"""The section `clients`, its proxies looked at."""

from ipaddress import ip_network

from gateway.configuration.place import SettingsError
from gateway.sections import ClientsSection


def clients(section: ClientsSection) -> ClientsSection:
    for text in section.trusted_proxies:
        try:
            ip_network(text)
        except ValueError as error:
            expected = "an address or a network, such as 10.0.0.7 or 10.0.0.0/24"
            raise SettingsError(f"clients.trusted_proxies: {error}; expected {expected}") from None
    return section
