"""Addresses of sources: their parts, the secrets in them, and how they are shown without these."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from features.errors import SettingsError

HIDDEN = "***"
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ADDRESS = re.compile(
    r"(?P<scheme>[a-z]+)://(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@/?#\[\]]*)(?::(?P<port>[0-9]*|\$\{\w+\}))?"
    r"(?:/(?P<database>[^/?#]*))?(?:\?(?P<query>[^#]*))?",
    re.DOTALL,
)
_SECRET_KEYS = (
    *("password", "passwd", "pwd", "secret", "token", "passphrase", "sslpassword"),
    *("accesskey", "secretkey", "accountkey", "credential", "credentials", "sas"),
)


@dataclass(frozen=True)
class SourceUrl:
    """The parts of an address ``scheme://user:password@host:port/database?key=value``.

    Parameters
    ----------
    shown : str
        The address as it may be printed and stored.
    scheme, user, host, port, database : str
        Its parts, decoded; empty where left out.
    password : str
        Never shown.
    query : dict of str to str
        What follows the question mark.
    """

    shown: str
    scheme: str
    user: str
    password: str = field(repr=False)
    host: str
    port: str
    database: str
    query: dict[str, str] = field(repr=False)

    def scrub(self, text: str) -> str:
        """Take this address's secrets out of a text, such as a driver's message."""
        secrets = [self.password, *(v for k, v in self.query.items() if _is_secret(k))]
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text


def scheme_of(url: str) -> str:
    """Return what stands before ``://``, or nothing.

    Examples
    --------
    >>> scheme_of("postgresql://server/crm"), scheme_of("data")
    ('postgresql', '')
    """
    before, separator, _ = url.partition("://")
    return before.lower() if separator and before.isalnum() else ""


def is_address(url: str) -> bool:
    """Whether it is the address of a server, or a reference to one, rather than a path.

    Examples
    --------
    >>> is_address("spark://?master=yarn"), is_address("${CRM}"), is_address("data")
    (True, True, False)
    """
    return bool(scheme_of(url) or _REFERENCE.match(url))


def with_environment(url: str, what: str = "source") -> str:
    """Replace an address that is, or begins with, a reference ``${NAME}``.

    References further inside are replaced part by part, so that a password from the environment
    needs no encoding.

    Raises
    ------
    SettingsError
        When the variable is not set.
    """
    found = _REFERENCE.match(url)
    return _value(found.group(1), what) + url[found.end() :] if found else url


def parse_url(url: str, form: str, what: str = "source") -> SourceUrl:
    """Take an address apart.

    Parameters
    ----------
    url : str
        The address; ``${NAME}`` stands for an environment variable.
    form : str
        What such an address looks like, for the message.
    what : str
        The section of the configuration that it is the ``url`` of.

    Raises
    ------
    SettingsError
        When it has another form, or a variable is not set.

    Examples
    --------
    >>> parsed = parse_url("postgresql://me:p%40ss@server:5433/crm?schema=sales", "")
    >>> parsed.password, parsed.query, parsed.shown
    ('p@ss', {'schema': 'sales'}, 'postgresql://me:***@server:5433/crm?schema=sales')
    """
    shown = masked(url)
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise SettingsError(
            f"The {what} '{shown}' must have the form {form} and has not; write any of @ : / ? # %"
            " in a name or password as %40 %3A %2F %3F %23 %25, or give the password as ${NAME}"
        )
    parts = {key: _decoded(value or "", what) for key, value in match.groupdict().items()}
    query = query_of(match["query"] or "", what)
    return SourceUrl(
        shown,
        parts["scheme"],
        parts["user"],
        query.pop("password", "") or parts["password"],
        parts["host"].strip("[]"),
        parts["port"],
        parts["database"],
        query,
    )


def query_of(text: str, what: str = "source") -> dict[str, str]:
    """Take apart what follows the question mark of an address.

    Examples
    --------
    >>> query_of("version.usage=12&region=eu-west-1")
    {'version.usage': '12', 'region': 'eu-west-1'}
    """
    pairs = (item.partition("=") for item in text.split("&") if item)
    return {_decoded(key, what): _decoded(value, what) for key, _, value in pairs}


def masked(url: str) -> str:
    """Return an address without its secrets, whatever its form.

    Rather too much is hidden than too little: what stands between the first colon and the last
    at-sign, a port that is no number, and the values of keys such as ``password``.

    Examples
    --------
    >>> masked("postgresql://me:p@ss:w/rd%@server/crm?password=x&schema=sales")
    'postgresql://me:***@server/crm?password=***&schema=sales'
    >>> masked("postgresql://me:forgot-the-server/crm")
    'postgresql://me:***/crm'
    """
    scheme, separator, rest = url.partition("://")
    if not separator or _REFERENCE.match(url):
        return _without_secret_keys(url)
    login, at, place = rest.rpartition("@")
    if at:
        user, colon, password = login.partition(":")
        kept = password if _REFERENCE.fullmatch(password) else HIDDEN
        login = f"{user}{colon}{kept if colon else ''}"
    place = re.sub(r"^([^:/?\[]*):(?![0-9]+(?:[/?]|$)|\$\{\w+\}(?:[/?]|$))[^/?]*", r"\1:***", place)
    return _without_secret_keys(f"{scheme}{separator}{login}{at}{place}")


def masked_comments(text: str) -> str:
    r"""Return a text with the secrets of the addresses in its ``#`` comments hidden.

    Examples
    --------
    >>> masked_comments("a = 1 # was postgresql://me:old@server/crm")
    'a = 1 # was postgresql://me:***@server/crm'
    """
    return re.sub(r"#[^\n]*?(\w+://[^\n]*)", _masked_comment, text)


def _masked_comment(found: re.Match[str]) -> str:
    before = found.group()[: found.start(1) - found.start()]
    return before + masked(found.group(1))


def _without_secret_keys(url: str) -> str:
    before, mark, query = url.partition("?")
    if not mark:
        return url
    return before + mark + "&".join(_without_secret(item) for item in query.split("&"))


def _without_secret(item: str) -> str:
    key, equals, value = item.partition("=")
    if not equals or not _is_secret(key) or _REFERENCE.fullmatch(value):
        return item
    return f"{key}={HIDDEN}"


def _is_secret(key: str) -> bool:
    return unquote(key).lower().rpartition(".")[2].replace("_", "").endswith(_SECRET_KEYS)


def _decoded(part: str, what: str) -> str:
    """Decode a part of an address and put environment variables in, which stand as they are."""
    pieces = _REFERENCE.split(part)
    return "".join(
        _value(piece, what) if number % 2 else unquote(piece) for number, piece in enumerate(pieces)
    )


def _value(name: str, what: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise SettingsError(
            f"The {what} names the environment variable '{name}', which is not set; set it or"
            f" correct {what}.url"
        )
    return value
