"""The settings of Kafka's clients by name: which are honoured, under which other names, and what is said of the rest.

Rules of this module
1. A setting about security is honoured, or refused with a reason.
2. A setting of Kafka's clients about anything else (how records are batched, how long something may take) is passed
   over with one warning, so that a file may be shared with Kafka's own tools.
3. Any other name is an error, with the nearest name there is.
"""

from __future__ import annotations

import difflib
import re
from typing import Final

OTHER_NAMES: Final = {
    "ssl.ca.location": "ssl.truststore.location",
    "ssl.ca.pem": "ssl.truststore.certificates",
    "ssl.certificate.pem": "ssl.keystore.certificate.chain",
    "ssl.key.pem": "ssl.keystore.key",
    "sasl.mechanisms": "sasl.mechanism",
    "sasl.oauthbearer.client.id": "sasl.oauthbearer.client.credentials.client.id",
    "sasl.oauthbearer.client.secret": "sasl.oauthbearer.client.credentials.client.secret",
}
"""librdkafka's names of settings that Kafka has too. They mean the same; of two names for one setting one may be given.
"""

WITHOUT_KAFKAS_NAME: Final = frozenset(
    {
        "ssl.certificate.location",  # apart from the key, as cert-manager and Strimzi write them
        "ssl.key.location",
        "sasl.username",
        "sasl.password",
        "https.ca.location",  # whose certificate a token endpoint has
    }
)
"""librdkafka's settings that Kafka has none for."""

SECRETS: Final = frozenset(
    {
        "ssl.key.password",
        "ssl.keystore.key",
        "sasl.jaas.config",
        "sasl.password",
        "sasl.oauthbearer.client.credentials.client.secret",
    }
)

HONOURED: Final = (
    frozenset(
        {
            "security.protocol",
            "ssl.truststore.type",
            "ssl.truststore.location",
            "ssl.truststore.certificates",
            "ssl.keystore.type",
            "ssl.keystore.location",
            "ssl.keystore.certificate.chain",
            "ssl.keystore.key",
            "ssl.key.password",
            "ssl.endpoint.identification.algorithm",
            "sasl.mechanism",
            "sasl.jaas.config",
            "sasl.login.callback.handler.class",
            "sasl.oauthbearer.token.endpoint.url",
            "sasl.oauthbearer.client.credentials.client.id",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.scope",
            "sasl.oauthbearer.header.urlencode",
        }
    )
    | WITHOUT_KAFKAS_NAME
)

PROVIDERS: Final = "config.providers"
PROVIDER_CLASS: Final = re.compile(r"config\.providers\.([^.]+)\.class")

_PEM_IS_OPEN: Final = "PEM files have no password: remove it (the password of an encrypted key is ssl.key.password)"
_TLS: Final = "mesura speaks TLS 1.2 and 1.3 as the system's OpenSSL allows them: remove it"
_KERBEROS: Final = (
    "the clients that mesura is made with have no Kerberos: use SCRAM, OAUTHBEARER or a client certificate"
)
_ASSERTION: Final = "a client identifies itself to the token endpoint by an id and a secret here, not by an assertion"

_REASONS: Final = (
    (re.compile(r"ssl\.(truststore|keystore)\.password"), _PEM_IS_OPEN),
    (re.compile(r"ssl\.(protocol|enabled\.protocols|cipher\.suites|curves\.list|sigalgs\.list)"), _TLS),
    (
        re.compile(r"enable\.ssl\.certificate\.verification"),
        "a certificate is always checked: give its authority with ssl.truststore.location",
    ),
    (re.compile(r"sasl\.kerberos\..*"), _KERBEROS),
    (re.compile(r"sasl\.oauthbearer\.assertion\..*"), _ASSERTION),
    (re.compile(r"sasl\.oauthbearer\.(jwks|expected|scope\.claim|sub\.claim|clock).*"), "it is a setting of brokers"),
    (re.compile(r"sasl\.oauthbearer\.(method|config|jwt\..*)"), "tokens come from sasl.oauthbearer.token.endpoint.url"),
    (re.compile(r"sasl\.oauthbearer\.extensions"), 'extensions are options of the login module: extension_NAME="…"'),
    (
        re.compile(
            r"ssl\.(provider|secure\.random\.implementation|keymanager\.algorithm|trustmanager\.algorithm)"
            r"|ssl\.engine\.factory\.class|security\.providers|sasl\.(client\.callback\.handler|login)\.class"
        ),
        "it names code of Java's, which would not be run",
    ),
)
"""Settings about security that are refused, and why."""

_TIMES_OF_A_LOGIN: Final = re.compile(r"sasl\.login\.(connect|read|refresh|retry)\..*")

PASSED_OVER: Final = frozenset(
    {
        "acks",
        "allow.auto.create.topics",
        "auto.commit.interval.ms",
        "auto.offset.reset",
        "batch.size",
        "bootstrap.controllers",
        "bootstrap.servers",
        "buffer.memory",
        "check.crcs",
        "client.dns.lookup",
        "client.id",
        "client.rack",
        "compression.gzip.level",
        "compression.lz4.level",
        "compression.type",
        "compression.zstd.level",
        "connections.max.idle.ms",
        "default.api.timeout.ms",
        "delivery.timeout.ms",
        "enable.auto.commit",
        "enable.idempotence",
        "enable.metrics.push",
        "exclude.internal.topics",
        "fetch.max.bytes",
        "fetch.max.wait.ms",
        "fetch.min.bytes",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "group.remote.assignor",
        "heartbeat.interval.ms",
        "interceptor.classes",
        "internal.throw.on.fetch.stable.offset.unsupported",
        "isolation.level",
        "key.deserializer",
        "key.serializer",
        "linger.ms",
        "max.block.ms",
        "max.in.flight.requests.per.connection",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "max.poll.records",
        "max.request.size",
        "metadata.max.age.ms",
        "metadata.max.idle.ms",
        "metadata.recovery.rebootstrap.trigger.ms",
        "metadata.recovery.strategy",
        "metric.reporters",
        "metrics.num.samples",
        "metrics.recording.level",
        "metrics.sample.window.ms",
        "partition.assignment.strategy",
        "partitioner.adaptive.partitioning.enable",
        "partitioner.availability.timeout.ms",
        "partitioner.class",
        "partitioner.ignore.keys",
        "receive.buffer.bytes",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "request.timeout.ms",
        "retries",
        "retry.backoff.max.ms",
        "retry.backoff.ms",
        "send.buffer.bytes",
        "session.timeout.ms",
        "share.acknowledgement.mode",
        "share.acquire.mode",
        "socket.connection.setup.timeout.max.ms",
        "socket.connection.setup.timeout.ms",
        "transaction.timeout.ms",
        "transaction.two.phase.commit.enable",
        "transactional.id",
        "value.deserializer",
        "value.serializer",
    }
)
"""Settings of Kafka's clients (4.3) that are not about security."""


def is_passed_over(name: str) -> bool:
    """Whether it has no meaning here, and is none about security."""
    return name in PASSED_OVER or _TIMES_OF_A_LOGIN.fullmatch(name) is not None


def why_refused(name: str) -> str:
    """Why a setting that is neither honoured nor passed over is refused, and what to do."""
    for pattern, reason in _REASONS:
        if pattern.fullmatch(name):
            return f"`{name}` is not supported: {reason}"
    nearest = difflib.get_close_matches(name, sorted(HONOURED | OTHER_NAMES.keys() | PASSED_OVER), n=1, cutoff=0.75)
    return f"`{name}` is no setting of Kafka's clients" + (
        f": did you mean `{nearest[0]}`?" if nearest else ". Remove it"
    )
