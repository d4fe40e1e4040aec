"""From a file and variables to a connection: what is understood, and each sentence for what is not."""

from __future__ import annotations

import pickle
import re
import ssl
from typing import TYPE_CHECKING

import javaproperties
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.connection.connection import Connection, PasswordLogin, TokenLogin
from streams.connection.errors import ConnectionRefused
from streams.connection.jaas import SCRAM, read_login_module
from streams.connection.properties import read_properties
from streams.connection.source import ConnectionSource
from tests.connection.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET = "planted-secret"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
SCRAM_LOGIN = (
    "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n"
    f'sasl.jaas.config={SCRAM} required \\\n    username="gate" \\\n    password="{SECRET}";\n'
)
TOKENS = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=OAUTHBEARER\n"
EXTENSION = 'extension_pool="p1"'
HANDLER = (
    "sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler\n"
)
ENDPOINT = "sasl.oauthbearer.token.endpoint.url=https://login.example.com/oauth2/token\n"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("reading")


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def read(tmp_path: Path, text: str, environment: Mapping[str, str] | None = None, mode: int = 0o600) -> Connection:
    return ConnectionSource(written(tmp_path / "client.properties", text, mode), environment).read()


def refused(tmp_path: Path, text: str, environment: Mapping[str, str] | None = None, mode: int = 0o600) -> str:
    with pytest.raises(ConnectionRefused) as caught:
        read(tmp_path, text, environment, mode)
    assert SECRET not in str(caught.value)
    return str(caught.value)


# ---- what is understood ---------------------------------------------------------------------------------------------


def test_nothing_said_is_plaintext() -> None:
    assert ConnectionSource(None, {"PATH": "/bin"}).read() == Connection()


def test_kafkas_own_file(tmp_path: Path) -> None:
    connection = read(tmp_path, "# for kafka-topics.sh too\n! so is this\n" + SCRAM_LOGIN + "client.id=x\nacks=all\n")
    assert connection.protocol == "SASL_PLAINTEXT"
    assert connection.mechanism == "SCRAM-SHA-512"
    assert connection.login == PasswordLogin("gate", SECRET)
    assert SECRET not in repr(connection)


def test_what_has_no_meaning_here_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "c.properties", "bootstrap.servers=a:1\nsecurity.protocol=PLAINTEXT\nretries=3\n")
    assert ConnectionSource(path).passed_over() == ("bootstrap.servers", "retries")


def test_librdkafkas_names(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue("gate")
    trusted = written(tmp_path / "ca.crt", authority.pem, 0o644)
    certificate = written(tmp_path / "tls.crt", issued.certificate, 0o644)
    key = written(tmp_path / "tls.key", issued.key(), 0o640)
    connection = read(
        tmp_path,
        f"security.protocol=SASL_SSL\nsasl.mechanisms=PLAIN\nsasl.username=gate\nsasl.password={SECRET}\n"
        f"ssl.ca.location={trusted}\nssl.certificate.location={certificate}\nssl.key.location={key}\n",
    )
    assert connection.login == PasswordLogin("gate", SECRET)
    assert connection.trusted is not None
    assert connection.trusted.pem == authority.pem
    assert connection.client is not None
    assert connection.client.key == issued.key()
    assert issued.key() not in repr(connection)


def test_certificates_within_the_file_on_one_line(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue("gate")
    lines = {
        "security.protocol": "SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": authority.pem.replace("\n", " "),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": issued.certificate.replace("\n", " "),
        "ssl.keystore.key": issued.key(SECRET).replace("\n", " "),
        "ssl.key.password": SECRET,
    }
    connection = read(tmp_path, javaproperties.dumps(lines))
    assert connection.trusted is not None
    assert connection.trusted.pem == authority.pem
    assert connection.client is not None
    assert connection.client.key_password == SECRET


def test_the_host_name_may_be_left_unchecked(tmp_path: Path) -> None:
    assert read(tmp_path, "security.protocol=SSL\n").checks_host
    assert read(tmp_path, "security.protocol=SSL\nssl.endpoint.identification.algorithm=https\n").checks_host
    assert not read(tmp_path, "security.protocol=SSL\nssl.endpoint.identification.algorithm=\n").checks_host


def test_variables_alone(tmp_path: Path) -> None:
    file = written(tmp_path / "password", f"{SECRET}\n", 0o440)
    environment = {
        "MESURA_KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
        "MESURA_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
        "MESURA_KAFKA_SASL_USERNAME": "gate",
        "MESURA_KAFKA_SASL_PASSWORD_FILE": str(file),
        "MESURA_KAFKA_SSL_KEY_PASSWORD": "",
    }
    assert ConnectionSource(None, environment).read().login == PasswordLogin("gate", SECRET)


def test_a_password_from_elsewhere(tmp_path: Path) -> None:
    other = written(tmp_path / "secrets.properties", f"pw={SECRET}\n")
    single = written(tmp_path / "pw", f"{SECRET}\n")
    for reference in (f"${{file:{other}:pw}}", f"${{directory:{tmp_path}:{single.name}}}", "${env:PW}"):
        text = SCRAM_LOGIN.replace(SECRET, reference)
        # What only refers to a secret may be read by all, as a ConfigMap is.
        assert read(tmp_path, text, {"PW": SECRET}, mode=0o644).login == PasswordLogin("gate", SECRET)


def test_providers_under_names_of_ones_own(tmp_path: Path) -> None:
    single = written(tmp_path / "pw", SECRET)
    declared = (
        "config.providers=mounted\n"
        "config.providers.mounted.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider\n"
    )
    text = declared + SCRAM_LOGIN.replace(SECRET, f"${{mounted:{tmp_path}:{single.name}}}")
    assert read(tmp_path, text).login == PasswordLogin("gate", SECRET)


@pytest.mark.parametrize(
    "lines",
    [
        HANDLER + f'sasl.jaas.config={OAUTH} required clientId=gate clientSecret="{SECRET}" scope=kafka {EXTENSION};\n',
        "\n".join(
            [
                f"sasl.jaas.config={OAUTH} required {EXTENSION};",
                "sasl.oauthbearer.client.credentials.client.id=gate",
                f"sasl.oauthbearer.client.credentials.client.secret={SECRET}",
                "sasl.oauthbearer.scope=kafka",
            ]
        ),
    ],
)
def test_client_credentials_of_kafka_3_and_of_kafka_4(tmp_path: Path, lines: str) -> None:
    login = read(tmp_path, TOKENS + ENDPOINT + lines).login
    assert login == TokenLogin(
        endpoint="https://login.example.com/oauth2/token",
        client_id="gate",
        client_secret=SECRET,
        scope="kafka",
        extensions=(("pool", "p1"),),
    )
    assert SECRET not in repr(login)


def test_another_process_reads_it_itself(tmp_path: Path) -> None:
    source = ConnectionSource(written(tmp_path / "c.properties", SCRAM_LOGIN))
    source.read()
    packed = pickle.dumps(source)
    assert SECRET.encode() not in packed
    assert pickle.loads(packed).read() == source.read()


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("secrity.protocol=SSL", "did you mean `security.protocol`?"),
        ("bananas=1", "`bananas` is no setting of Kafka's clients. Remove it."),
        ("ssl.truststore.location=/x", "security.protocol is missing: set it to one of PLAINTEXT, SSL"),
        ("security.protocol=TLS", "`TLS` is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL."),
        ("security.protocol=SSL\nsecurity.protocol=SSL", "line 2: `security.protocol` is given twice. Keep one."),
        ("security.protocol=PLAINTEXT\nssl.truststore.location=/x", "has no effect with security.protocol=PLAINTEXT"),
        ("security.protocol=SSL\nsasl.username=x", "set that to SASL_SSL, or remove it"),
        ("security.protocol=SSL\nssl.truststore.location=/nowhere/ca.pem", "/nowhere/ca.pem cannot be read: No such"),
        ("security.protocol=SSL\nssl.truststore.type=JKS\nssl.truststore.location=/x.jks", "keytool -importkeystore"),
        ("security.protocol=SSL\nssl.keystore.type=PKCS12\nssl.keystore.location=/x.p12", "openssl pkcs12 -in /x.p12"),
        ("security.protocol=SSL\nssl.truststore.password=x", "PEM files have no password: remove it"),
        ("security.protocol=SSL\nssl.cipher.suites=x", "TLS 1.2 and 1.3"),
        ("security.protocol=SSL\nssl.engine.factory.class=x", "it names code of Java's"),
        ("security.protocol=SSL\nenable.ssl.certificate.verification=false", "a certificate is always checked"),
        ("security.protocol=SSL\nssl.endpoint.identification.algorithm=no", "neither `https` nor empty"),
        ("security.protocol=SSL\nssl.key.password=x", "has no effect without a key"),
        ("security.protocol=SASL_SSL", "sasl.mechanism is missing: set it to one of PLAIN, SCRAM-SHA-256"),
        ("security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI", "Kerberos (GSSAPI) is not supported."),
        ("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN", "PLAIN needs a username: give it with sasl.username"),
        ("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=x", "PLAIN needs a password"),
        (SCRAM_LOGIN + f"sasl.password={SECRET}", "The password is given by"),
        (SCRAM_LOGIN.replace("SHA-512", "SHA-257"), "is none of PLAIN, SCRAM"),
        (SCRAM_LOGIN.replace("=SCRAM-SHA-512", "=PLAIN"), "is for SCRAM-SHA-256 and SCRAM-SHA-512, and sasl.mechanism"),
        (SCRAM_LOGIN.replace(SCRAM, "com.example.Login"), "the login module is none of"),
        (SCRAM_LOGIN.replace(";", ""), "with a semicolon at its end"),
        (SCRAM_LOGIN.replace("username", "tokenauth=true username"), "the option `tokenauth` is not supported"),
        (SCRAM_LOGIN.replace(f'"{SECRET}"', f"{SECRET}!"), "stands in quotation marks"),
        (SCRAM_LOGIN.replace(SECRET, "${vault:a:b}"), "there is no config provider `vault`"),
        (SCRAM_LOGIN.replace(SECRET, "${env:NOT_SET}"), "the variable `NOT_SET` that it refers to is not set"),
        (SCRAM_LOGIN.replace(SECRET, "${file:/nowhere:pw}"), "/nowhere cannot be read"),
        ("config.providers.file.param.allowed.paths=/x", "providers have no parameters here"),
        (SCRAM_LOGIN.replace(SECRET, "geheimnis-ä"), "line 3: a letter beyond ASCII may stand in comments only"),
        ("security.protocol=SSL\nssl.ca.pem=\\u12", "`\\u` needs four hexadecimal digits"),
        (TOKENS, "OAUTHBEARER needs sasl.oauthbearer.client.credentials.client.id (or clientId in sasl.jaas.config)"),
        (TOKENS + "sasl.oauthbearer.method=oidc", "tokens come from sasl.oauthbearer.token.endpoint.url"),
        (TOKENS + "sasl.oauthbearer.assertion.file=x", "not by an assertion"),
        (TOKENS + "sasl.login.callback.handler.class=com.example.X", "it names code of Java's"),
    ],
)
def test_each_is_refused_with_its_remedy(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text)


@pytest.mark.parametrize("endpoint", [f"https://gate:{SECRET}@login.example.com/token", f"ftp://{SECRET}", SECRET])
def test_a_token_endpoint_is_not_repeated(tmp_path: Path, endpoint: str) -> None:
    client = f"sasl.oauthbearer.client.id=x\nsasl.oauthbearer.client.secret={SECRET}\n"
    refused(tmp_path, TOKENS + client + f"sasl.oauthbearer.token.endpoint.url={endpoint}\n")


def test_a_file_and_a_variable_that_say_the_same(tmp_path: Path) -> None:
    said = refused(tmp_path, SCRAM_LOGIN, {"MESURA_KAFKA_SASL_MECHANISM": "PLAIN"})
    assert "given by the variable MESURA_KAFKA_SASL_MECHANISM and by" in said
    assert "Keep one." in said


def test_variables_that_do_not_fit(tmp_path: Path) -> None:
    for variable, words in {
        "MESURA_KAFKA_SECURITY_PROTOCOLL": "did you mean MESURA_KAFKA_SECURITY_PROTOCOL?",
        "MESURA_KAFKA_BANANAS": "Unset it.",
        "MESURA_KAFKA_SASL_PASSWORD_FILE": "/nowhere cannot be read",
    }.items():
        with pytest.raises(ConnectionRefused, match=re.escape(words)):
            ConnectionSource(None, {variable: "/nowhere"}).read()
    both = {"MESURA_KAFKA_SASL_PASSWORD_FILE": "/x", "MESURA_KAFKA_SASL_PASSWORD": SECRET}
    with pytest.raises(ConnectionRefused, match="Both MESURA_KAFKA_SASL_PASSWORD and"):
        ConnectionSource(None, both).read()


@pytest.mark.parametrize(
    ("mode", "is_refused"),
    [(0o600, False), (0o640, False), (0o440, False), (0o644, True), (0o660, True), (0o604, True)],
)
def test_who_may_read_a_file_with_a_secret(tmp_path: Path, authority: Authority, mode: int, is_refused: bool) -> None:
    key = written(tmp_path / "tls.key", authority.issue("gate").key(), mode)
    certificate = written(tmp_path / "tls.crt", authority.issue("gate").certificate, 0o644)
    password = written(tmp_path / "pw", SECRET, mode)
    pairs = f"ssl.certificate.location={certificate}\nssl.key.location={key}\n"
    for text, name in (
        (SCRAM_LOGIN, "client.properties"),
        ("security.protocol=SSL\n" + pairs, "tls.key"),
        (SCRAM_LOGIN.replace(SECRET, f"${{directory:{tmp_path}:{password.name}}}"), "pw"),
    ):
        own = mode if name == "client.properties" else 0o600
        if is_refused:
            said = refused(tmp_path, text, mode=own)
            assert f"chmod 640 {tmp_path / name}" in said
        elif name == "tls.key":
            assert "is not that of the certificate" in refused(tmp_path, text, mode=own)  # two that were made apart
        else:
            read(tmp_path, text, mode=own)


def test_our_own_certificate_has_two_halves(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue("gate")
    key = written(tmp_path / "tls.key", issued.key(SECRET))
    certificate = written(tmp_path / "tls.crt", issued.certificate)
    both = f"security.protocol=SSL\nssl.certificate.location={certificate}\nssl.key.location={key}\n"
    one = f"security.protocol=SSL\nssl.certificate.location={certificate}\n"
    assert "its key is missing: add ssl.key.location" in refused(tmp_path, one)
    assert "its certificate is missing" in refused(tmp_path, f"security.protocol=SSL\nssl.key.location={key}\n")
    assert "is encrypted: give its password with ssl.key.password" in refused(tmp_path, both)
    assert "does not open with its password" in refused(tmp_path, both + f"ssl.key.password={SECRET}x\n")
    assert "holds no certificate" in refused(tmp_path, f"security.protocol=SSL\nssl.ca.location={key}\n")
    assert "holds no private key" in refused(tmp_path, f"{one}ssl.key.location={certificate}\n")
    read(tmp_path, both + f"ssl.key.password={SECRET}\n")
    written(key, issued.key())
    assert "is not encrypted. Remove it." in refused(tmp_path, both + f"ssl.key.password={SECRET}\n")
    damaged = issued.certificate[:100] + "AAAA" + issued.certificate[104:]
    written(certificate, damaged)
    assert "is damaged" in refused(tmp_path, both.replace(str(key), str(written(tmp_path / "k", issued.key()))))


def test_java_stores_are_known_by_their_content(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for content, words in ((b"\xfe\xed\xfe\xed\0\0\0\2", "(JKS)"), (b"\x30\x82\x0a\x00\x02\x01\x03", "PKCS12")):
        store.write_bytes(content)
        said = refused(tmp_path, f"security.protocol=SSL\nssl.truststore.location={store}\n")
        assert words in said
        assert "openssl pkcs12 -in" in said


def test_a_certificate_in_der_is_known_by_its_content(tmp_path: Path, authority: Authority) -> None:
    file = tmp_path / "ca.der"
    file.write_bytes(ssl.PEM_cert_to_DER_cert(authority.pem))
    said = refused(tmp_path, f"security.protocol=SSL\nssl.truststore.location={file}\n")
    assert f"openssl x509 -inform DER -in {file}" in said


# ---- properties of the readers --------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@given(st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=5))
def test_what_java_writes_is_read(values: dict[str, str]) -> None:
    assert read_properties(javaproperties.dumps(values).encode("latin-1"), "x") == values


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        found = read_properties(content, "x")
    except ConnectionRefused:
        return
    assert all(isinstance(value, str) for value in found.values())


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), max_size=20))
def test_any_password_stands_in_a_login_module(password: str) -> None:
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    module = read_login_module(f'{SCRAM} required username=gate password="{quoted}";', "x")
    assert module.options == {"username": "gate", "password": password}


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_login_module_is_read_or_refused(before: str, behind: str) -> None:
    """And what it says is never quoted: it may be a password in the wrong place."""
    with pytest.raises(ConnectionRefused) as caught:
        read_login_module(f"{before}planted-secret{behind}", "x")
    assert "planted-secret" not in str(caught.value)
