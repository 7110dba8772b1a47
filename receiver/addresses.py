"""What stands in `receiver.yml` about others: where they are, and what shows them who we are."""

from base64 import b64encode
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr, model_validator

from genesys.settings import Secret, Settings, Text


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise ValueError("must be a URL like https://pager.example.org/hook")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must be without user and password: neither this file nor what is told of it is a secret")
    return url


def _secret_url(url: SecretStr) -> SecretStr:
    _http_url(url.get_secret_value())
    return url


def _sendable(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a token is sent in a header: it must be printable ASCII without spaces")
    return token


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Bearer = Annotated[Secret, AfterValidator(_sendable)]
SecretUrl = Annotated[Secret, AfterValidator(_secret_url)]
"""For addresses that let in whoever knows them."""


class ServiceNowAccess(Settings):
    """A ServiceNow instance; who we are is said by user and password, or by an API key."""

    url: HttpUrl  # where the instance is
    username: Text | None = None  # a user who may do what is asked for
    password: Secret | None = None  # that user's password
    api_key: Bearer | None = None  # instead of both; sent as `x-sn-apikey`

    @model_validator(mode="after")
    def _says_who(self) -> Self:
        by_user = self.username is not None and self.password is not None
        if by_user == (self.api_key is not None) or (self.username is None) != (self.password is None):
            raise ValueError("give either username and password, or api_key")
        return self

    def headers(self) -> dict[str, str]:
        """What every call of its REST API is sent with."""
        headers = {"Accept": "application/json"}
        if self.api_key is not None:
            return headers | {"x-sn-apikey": self.api_key.get_secret_value()}
        return headers | {"Authorization": basic(self.username, self.password)}


def basic(username: str | None, password: SecretStr | None) -> str:
    """The value of the header `Authorization` that says user and password (RFC 7617)."""
    secret = "" if password is None else password.get_secret_value()
    return f"Basic {b64encode(f'{username}:{secret}'.encode()).decode()}"
