"""Credentials: an access token, or a licence key that is exchanged for one."""

from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, frozen

from nuvo_async import arguments
from nuvo_async.models import ActorType, ConfigurationError

_VARIABLES = ("NUVO_ACCESS_TOKEN", "NUVO_LICENSE_KEY", "NUVO_IDENTIFIER")
_VARIABLE_OF = {
    "token": "NUVO_ACCESS_TOKEN",
    "license_key": "NUVO_LICENSE_KEY",
    "identifier": "NUVO_IDENTIFIER",
    "identifier_type": "NUVO_IDENTIFIER_TYPE",
}

__all__ = ["AccessToken", "LicenseKey", "credentials_from_env"]


def _secret(_: Any, attribute: "Attribute[Any]", value: object) -> None:
    arguments.text(attribute.name, value)


def _bearer(_: Any, attribute: "Attribute[Any]", value: object) -> None:
    token = arguments.text(attribute.name, value)
    if any(character.isspace() for character in token) or not token.isascii():
        raise ValueError(
            f"{attribute.name} must be the bare token: ASCII without spaces, and without 'Bearer'"
        )


def _known_type(_: Any, attribute: "Attribute[Any]", value: ActorType) -> None:
    if not value.is_known:
        raise ValueError(f"{attribute.name} must be USER or SUB_ORG, not {value!s}")


def _masked(_: object) -> str:
    return "'***'"


@frozen
class AccessToken:
    """A ready access token, sent as `Authorization: Bearer TOKEN`."""

    token: str = field(validator=_bearer, repr=_masked)


@frozen
class LicenseKey:
    """A licence key, exchanged for an access token when one is needed (`POST auth/access-token`).

    `identifier` is the e-mail of a user, or the identifier of a sub-organization.
    """

    license_key: str = field(validator=_secret, repr=_masked)
    identifier: str = field(validator=_secret)
    identifier_type: ActorType = field(
        default=ActorType.USER, converter=ActorType, validator=_known_type
    )


def credentials_from_env(environ: Mapping[str, str]) -> AccessToken | LicenseKey:
    """Read credentials from the environment. A token takes precedence over a licence key.

    Raises `ConfigurationError`, which names the variables.
    """
    if not isinstance(environ, Mapping):
        raise TypeError(f"environ must be a mapping, not {type(environ).__name__}")
    try:
        if token := environ.get("NUVO_ACCESS_TOKEN"):
            return AccessToken(token)
        key, identifier = environ.get("NUVO_LICENSE_KEY"), environ.get("NUVO_IDENTIFIER")
        if key and identifier:
            kind = environ.get("NUVO_IDENTIFIER_TYPE") or ActorType.USER
            return LicenseKey(key, identifier, ActorType(kind))
    except ValueError as error:
        # Each message begins with the name of the field. The variable has a similar name.
        field_name, _, problem = str(error).partition(" ")
        variable = _VARIABLE_OF.get(field_name, "NUVO_ACCESS_TOKEN")
        raise ConfigurationError(f"{variable} {problem}") from None
    missing = [name for name in _VARIABLES if not environ.get(name)]
    raise ConfigurationError(
        "set NUVO_ACCESS_TOKEN, or both NUVO_LICENSE_KEY and NUVO_IDENTIFIER, in the environment"
        f" (missing: {', '.join(missing)})"
    )
