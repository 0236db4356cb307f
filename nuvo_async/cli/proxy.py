"""The HTTP proxy of the command, from an option or from the usual environment variables.

aiohttp's `trust_env` is not used, because it also sends logins from `.netrc`.
"""

from collections.abc import Iterator
from urllib.request import getproxies, proxy_bypass

from attrs import field, frozen
from yarl import URL

from nuvo_async.models import ConfigurationError
from nuvo_async.wire import checked_base_url

__all__ = ["Proxy", "parse_proxy", "proxy_for"]


@frozen
class Proxy:
    """A proxy's URL and login. They are separate, so that the URL can be shown."""

    url: URL
    user: str | None = field(repr=False)
    password: str = field(repr=False)

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        try:
            checked_base_url(self.url.with_scheme("http"))
        except ConfigurationError:
            return False
        return True


def parse_proxy(name: str, text: str) -> Proxy:
    """Parse the URL of a proxy. Raises `ConfigurationError` if it is invalid."""
    wrong = ConfigurationError(
        f"{name} must have the form http://HOST:PORT; SOCKS is not supported"
    )
    try:
        url = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        raise wrong from None
    if url.scheme not in {"http", "https"} or not url.host or " " in url.host:
        raise wrong
    return Proxy(url.origin(), url.user, url.password or "")


def proxy_for(base_url: URL, option: str | None) -> Proxy | None:
    """The proxy for requests to the API, from the option or else from the environment.

    Plain http is only for servers on this machine. It is not encrypted, so it does not go through a
    proxy on another machine.
    """
    if option is not None:
        proxy = parse_proxy("--proxy", option)
        if base_url.scheme == "http" and not proxy.is_here:
            raise ConfigurationError(
                "--proxy must be on this machine, as the API is: the credentials would be sent"
                " in clear text"
            )
        return proxy
    if any(map(proxy_bypass, _names_of(base_url))):
        return None
    proxies = getproxies()
    for scheme in (base_url.scheme, "all"):
        if text := proxies.get(scheme):
            proxy = parse_proxy(f"{scheme.upper()}_PROXY", text)
            return proxy if base_url.scheme == "https" or proxy.is_here else None
    return None


def _names_of(url: URL) -> Iterator[str]:
    yield url.host or ""
    yield f"{url.host}:{url.port}"  # NO_PROXY may name a port.
