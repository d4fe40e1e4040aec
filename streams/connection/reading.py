"""From what was given to a connection: the settings are understood, fitted together, and refused where they do not fit.

Rules of this module
1. A setting without effect is refused too, as a password beside PLAINTEXT: it shows that something else was meant.
2. Files that the settings name are read here, so that all that follows works on one state of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from streams.connection.connection import (
    MECHANISMS,
    PROTOCOLS,
    Certificates,
    ClientCertificate,
    Connection,
    Mechanism,
    PasswordLogin,
    Protocol,
    TokenLogin,
)
from streams.connection.errors import ConnectionRefused
from streams.connection.files import conversion, read_pem, refuse_open_to_others
from streams.connection.jaas import MODULES, LoginModule, read_login_module
from streams.connection.pem import certificates_in, is_encrypted, keys_in, on_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.connection.settings import Given

_CALLBACK_HANDLERS: Final = tuple(
    f"org.apache.kafka.common.security.oauthbearer.{name}OAuthBearerLoginCallbackHandler" for name in ("", "secured.")
)
_ENDPOINT: Final = "sasl.oauthbearer.token.endpoint.url"
_CLIENT_ID: Final = "sasl.oauthbearer.client.credentials.client.id"
_CLIENT_SECRET: Final = "sasl.oauthbearer.client.credentials.client.secret"  # noqa: S105  # its name
_SCOPE: Final = "sasl.oauthbearer.scope"
_JAAS: Final = "sasl.jaas.config"
_IN_JAAS: Final = {"clientId": _CLIENT_ID, "clientSecret": _CLIENT_SECRET, "scope": _SCOPE}
_EXTENSION: Final = "extension_"
_EXTENSION_NAME: Final = re.compile(r"(?!auth$)[A-Za-z]+")  # RFC 7628; `auth` is the token's own


def read_connection(given: Mapping[str, Given]) -> Connection:
    """The connection that these settings describe.

    Raises:
        ConnectionRefused: they describe none.
    """
    return _Reader(given).connection()


class _Reader:
    def __init__(self, given: Mapping[str, Given]) -> None:
        self._given = given
        self._unused = set(given)

    def connection(self) -> Connection:
        protocol = self._protocol()
        is_encrypted = protocol in {"SSL", "SASL_SSL"}
        mechanism, login = self._login() if protocol.startswith("SASL") else (None, None)
        connection = Connection(
            protocol=protocol,
            trusted=self._trusted() if is_encrypted else None,
            client=self._client() if is_encrypted else None,
            checks_host=self._checks_host() if is_encrypted else True,
            mechanism=mechanism,
            login=login,
        )
        for name in sorted(self._unused):
            self._refuse_unused(name, protocol, connection.mechanism)
        return connection

    def _take(self, name: str) -> Given | None:
        self._unused.discard(name)
        return self._given.get(name)

    def _protocol(self) -> Protocol:
        given = self._take("security.protocol")
        if given is None:
            if self._given:
                raise ConnectionRefused(
                    f"security.protocol is missing: set it to one of {', '.join(PROTOCOLS)}. Without it the rest "
                    "would have no effect."
                )
            return "PLAINTEXT"
        found = next((each for each in PROTOCOLS if each == given.value.upper()), None)
        if found is None:
            raise ConnectionRefused(f"{given.origin}: `{given.value}` is none of {', '.join(PROTOCOLS)}.")
        return found

    def _refuse_unused(self, name: str, protocol: str, mechanism: str | None) -> None:
        origin = self._given[name].origin
        if name.startswith("ssl."):
            wanted = "SASL_SSL" if protocol.startswith("SASL") else "SSL"
            raise ConnectionRefused(
                f"{origin} has no effect with security.protocol={protocol}: set that to {wanted}, or remove it."
            )
        if mechanism is None:
            wanted = "SASL_SSL" if protocol == "SSL" else "SASL_PLAINTEXT or SASL_SSL"
            raise ConnectionRefused(
                f"{origin} has no effect with security.protocol={protocol}: set that to {wanted}, or remove it."
            )
        raise ConnectionRefused(f"{origin} has no effect with sasl.mechanism={mechanism}: remove it.")

    # ---- TLS ----

    def _trusted(self) -> Certificates | None:
        self._refuse_type("ssl.truststore.type", self._given.get("ssl.truststore.location"))
        location, inline = self._one_of("ssl.truststore.location", "ssl.truststore.certificates")
        return self._certificates(location, inline, "trust store")

    def _certificates(self, location: Given | None, inline: Given | None, what: str) -> Certificates | None:
        if location is not None:
            text, _ = read_pem(Path(location.value), what)
            origin = location.value
        elif inline is not None:
            text, origin = on_lines(inline.value), inline.origin
        else:
            return None
        found = certificates_in(text)
        if not found:
            raise ConnectionRefused(
                f"The {what} {origin} holds no certificate: it has to be PEM, with -----BEGIN CERTIFICATE-----."
            )
        return Certificates(found, origin)

    def _client(self) -> ClientCertificate | None:
        self._refuse_type("ssl.keystore.type", self._given.get("ssl.keystore.location"))
        store = self._take("ssl.keystore.location")
        chain_file, chain = self._one_of("ssl.certificate.location", "ssl.keystore.certificate.chain")
        key_file, key = self._one_of("ssl.key.location", "ssl.keystore.key")
        password = self._take("ssl.key.password")
        if store is not None:
            for other in (chain_file, chain, key_file, key):
                if other is not None:
                    raise ConnectionRefused(
                        f"{other.origin} and ssl.keystore.location both say what our certificate is. Keep one."
                    )
            chain_file = key_file = store
        certificates = self._certificates(chain_file, chain, "client certificate")
        if key_file is None and key is None:
            missing = "its key is missing: add ssl.key.location (or ssl.keystore.key)"
        elif certificates is None:
            missing = "its certificate is missing: add ssl.certificate.location (or ssl.keystore.certificate.chain)"
        else:
            return self._with_key(certificates, key_file, key, password)
        if certificates is None and key_file is None and key is None:
            if password is not None:
                raise ConnectionRefused(f"{password.origin} has no effect without a key (ssl.keystore.location).")
            return None
        raise ConnectionRefused(f"Of our own certificate one half is given, and {missing}.")

    def _with_key(
        self, chain: Certificates, location: Given | None, inline: Given | None, password: Given | None
    ) -> ClientCertificate:
        if location is not None:
            path = Path(location.value)
            text, mode = read_pem(path, "key file")
            refuse_open_to_others(path, "key file", mode)
            origin = location.value
        else:
            assert inline is not None
            text, origin = on_lines(inline.value), inline.origin
        keys = keys_in(text)
        if len(keys) != 1:
            count = "no private key" if not keys else f"{len(keys)} private keys"
            raise ConnectionRefused(f"{origin} holds {count}: it has to hold one, as PEM.")
        if is_encrypted(keys[0]) and password is None:
            raise ConnectionRefused(f"The key in {origin} is encrypted: give its password with ssl.key.password.")
        if not is_encrypted(keys[0]) and password is not None:
            raise ConnectionRefused(
                f"{password.origin} has no effect: the key in {origin} is not encrypted. Remove it."
            )
        return ClientCertificate(chain, keys[0], origin, None if password is None else password.value)

    def _refuse_type(self, name: str, location: Given | None) -> None:
        given = self._take(name)
        if given is None or given.value.upper() == "PEM":
            return
        kind = given.value.upper()
        if kind in {"JKS", "PKCS12"}:
            path = "store" if location is None else location.value
            raise ConnectionRefused(f"{given.origin}: {kind} is not supported, PEM is. {conversion(kind, path)}")
        raise ConnectionRefused(f"{given.origin}: `{given.value}` is not supported, PEM is.")

    def _checks_host(self) -> bool:
        given = self._take("ssl.endpoint.identification.algorithm")
        if given is None or given.value.lower() == "https":
            return True
        if given.value.lower() in {"", "none"}:
            return False
        raise ConnectionRefused(
            f"{given.origin}: `{given.value}` is neither `https` nor empty (empty: the host name is not checked)."
        )

    # ---- the login ----

    def _login(self) -> tuple[Mechanism, PasswordLogin | TokenLogin]:
        mechanism = self._mechanism()
        given = self._take(_JAAS)
        module = None if given is None else read_login_module(given.value, given.origin)
        if given is not None and module is not None and mechanism not in MODULES[module.name]:
            raise ConnectionRefused(
                f"{given.origin}: its login module is for {' and '.join(MODULES[module.name])}, and sasl.mechanism is "
                f"{mechanism}. Correct one of them."
            )
        if mechanism == "OAUTHBEARER":
            return mechanism, self._token_login(module, given)
        return mechanism, self._password_login(mechanism, module, given)

    def _mechanism(self) -> Mechanism:
        given = self._take("sasl.mechanism")
        wanted = ", ".join(MECHANISMS)
        if given is None:
            raise ConnectionRefused(f"sasl.mechanism is missing: set it to one of {wanted}.")
        found = next((each for each in MECHANISMS if each == given.value.upper()), None)
        if found is None:
            kerberos = " Kerberos (GSSAPI) is not supported." if given.value.upper() == "GSSAPI" else ""
            raise ConnectionRefused(f"{given.origin}: `{given.value}` is none of {wanted}.{kerberos}")
        return found

    def _password_login(self, mechanism: str, module: LoginModule | None, jaas: Given | None) -> PasswordLogin:
        user, password = self._take("sasl.username"), self._take("sasl.password")
        options = dict(module.options) if module is not None else {}
        found: dict[str, str] = {}
        for option, other in (("username", user), ("password", password)):
            value = options.pop(option, None)
            if value is not None and other is not None:
                raise ConnectionRefused(f"The {option} is given by {other.origin} and by sasl.jaas.config. Keep one.")
            value = value if other is None else other.value
            if not value:
                raise ConnectionRefused(
                    f"{mechanism} needs a {option}: give it with sasl.{option}, or in sasl.jaas.config."
                )
            if "\0" in value:
                raise ConnectionRefused(f"The {option} holds a character that no login can carry (NUL).")
            found[option] = value
        self._refuse_options(options, jaas)
        return PasswordLogin(found["username"], found["password"])

    def _token_login(self, module: LoginModule | None, jaas: Given | None) -> TokenLogin:
        handler = self._take("sasl.login.callback.handler.class")
        if handler is not None and handler.value not in _CALLBACK_HANDLERS:
            raise ConnectionRefused(
                f"{handler.origin}: it names code of Java's, which would not be run. {_CALLBACK_HANDLERS[0]} is "
                "understood; remove any other."
            )
        found = {name: self._take(name) for name in (_CLIENT_ID, _CLIENT_SECRET, _SCOPE)}
        options = dict(module.options) if module is not None else {}
        for option, name in _IN_JAAS.items():
            value, other = options.pop(option, None), found[name]
            if value is None:
                continue
            if other is not None:
                raise ConnectionRefused(f"{other.origin} and `{option}` in sasl.jaas.config say the same. Keep one.")
            assert jaas is not None
            found[name] = jaas._replace(value=value)
        extensions = tuple(
            (key.removeprefix(_EXTENSION), options.pop(key)) for key in sorted(options) if key.startswith(_EXTENSION)
        )
        if any(not _EXTENSION_NAME.fullmatch(name) or "\x01" in value for name, value in extensions):
            raise ConnectionRefused("An extension in sasl.jaas.config has a name of other than letters, or is `auth`.")
        self._refuse_options(options, jaas)
        for name, option in ((_CLIENT_ID, "clientId"), (_CLIENT_SECRET, "clientSecret")):
            each = found[name]
            if each is None or not each.value:
                raise ConnectionRefused(f"OAUTHBEARER needs {name} (or {option} in sasl.jaas.config).")
        client_id, client_secret, scope = found[_CLIENT_ID], found[_CLIENT_SECRET], found[_SCOPE]
        assert client_id is not None
        assert client_secret is not None
        authority = self._take("https.ca.location")
        return TokenLogin(
            endpoint=self._endpoint(),
            client_id=client_id.value,
            client_secret=client_secret.value,
            scope=None if scope is None else scope.value,
            encodes_credentials=self._boolean("sasl.oauthbearer.header.urlencode"),
            extensions=extensions,
            trusted=self._certificates(authority, None, "authority of the token endpoint"),
        )

    def _endpoint(self) -> str:
        given = self._take(_ENDPOINT)
        if given is None:
            raise ConnectionRefused(f"OAUTHBEARER needs {_ENDPOINT}, as https://login.example.com/oauth2/token.")
        try:
            parts = urlsplit(given.value)
            is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
            has_user = parts.username is not None or parts.password is not None
        except ValueError:
            is_url = has_user = False
        # It is not repeated, because it may hold a password.
        if has_user:
            raise ConnectionRefused(f"{given.origin}: the address has a user in it: give the client as {_CLIENT_ID}.")
        if not is_url:
            raise ConnectionRefused(f"{given.origin}: it is no address as https://login.example.com/oauth2/token.")
        return given.value

    def _boolean(self, name: str) -> bool:
        given = self._take(name)
        if given is None or given.value.lower() == "false":
            return False
        if given.value.lower() == "true":
            return True
        raise ConnectionRefused(f"{given.origin}: `{given.value}` is neither true nor false.")

    @staticmethod
    def _refuse_options(options: Mapping[str, str], jaas: Given | None) -> None:
        for option in sorted(options):
            assert jaas is not None
            hint = " (https.ca.location names the authority of the token endpoint)" if option.startswith("ssl.") else ""
            raise ConnectionRefused(f"{jaas.origin}: the option `{option}` is not supported{hint}. Remove it.")

    def _one_of(self, first: str, second: str) -> tuple[Given | None, Given | None]:
        one, other = self._take(first), self._take(second)
        if one is not None and other is not None:
            raise ConnectionRefused(f"{one.origin} and {other.origin} say the same. Keep one.")
        return one, other
