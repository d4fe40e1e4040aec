"""Addresses given to `--bootstrap`: HOST:PORT is read, everything else is refused with what to write instead."""

from __future__ import annotations

import pytest

from streams.addresses import AddressRefused, as_text, read_addresses


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("kafka-1:9092", "kafka-1:9092"),
        (" a:9092 , b:9093,", "a:9092,b:9093"),
        ("10.0.0.7:1", "10.0.0.7:1"),
        ("broker_1.internal.:65535", "broker_1.internal.:65535"),
        ("[::1]:9092", "[::1]:9092"),
        ("[fe80::1%eth0]:9092,[2001:db8::7]:9093", "[fe80::1%eth0]:9092,[2001:db8::7]:9093"),
        ("[::ffff:10.0.0.7]:9092", "[::ffff:10.0.0.7]:9092"),
    ],
)
def test_addresses_are_read(text: str, read: str) -> None:
    assert as_text(read_addresses(text)) == read


@pytest.mark.parametrize(
    ("text", "cause", "remedy"),
    [
        ("", "no address", "kafka-1:9092"),
        (" , ", "no address", "kafka-1:9092"),
        ("kafka", "no port", "`kafka:9092`"),
        ("kafka:", "no port", "`kafka:9092`"),
        ("a:9092,b", "`b` has no port", "`b:9092`"),
        ("[::1]", "no port", "[::1]:PORT"),
        ("::1", "without brackets", "[::1]:9092"),
        ("::1:9092", "without brackets", "[::1]:9092"),
        ("[localhost]:9092", "no IPv6 address", "[::1]:9092"),
        ("[::1:9092", "no IPv6 address", "[::1]:9092"),
        ("kafka:0", "no port from 1 to 65535", "HOST:PORT"),
        ("kafka:65536", "no port from 1 to 65535", "HOST:PORT"),
        ("kafka:http", "no port from 1 to 65535", "HOST:PORT"),
        ("kafka:９０９２", "no port from 1 to 65535", "HOST:PORT"),
        (":9092", "no host name", "HOST:PORT"),
        ("'kafka:9092'", "no host name", "HOST:PORT"),
        ("käfka:9092", "no host name", "HOST:PORT"),
        ("a:9092;b:9092", "a blank or a semicolon", "commas"),
        ("a:9092 b:9092", "a blank or a semicolon", "commas"),
        ("kafka://a:9092", "begins with `kafka://`", "`a:9092`"),
        ("http://a:9092/", "begins with `http://`", "`a:9092`"),
        ("PLAINTEXT://a:9092", "begins with `PLAINTEXT://`", "`a:9092`"),
        ("SSL://a:9093", "secured connection", "set security.protocol in the file of --command-config"),
        ("https://a:9093", "secured connection", "set security.protocol in the file of --command-config"),
        ("SASL_PLAINTEXT://a:9093", "secured connection", "set security.protocol in the file of --command-config"),
        ("kafka+ssl://a:9093", "secured connection", "set security.protocol in the file of --command-config"),
        ("zookeeper:2181/kafka", "has a path", "HOST:PORT of a Kafka broker"),
    ],
)
def test_what_is_no_address_is_refused(text: str, cause: str, remedy: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        read_addresses(text)
    assert cause in str(refused.value)
    assert remedy in str(refused.value)


@pytest.mark.parametrize("text", ["kafka://user:opensesame@a:9092", "user:opensesame@a:9092", "a:9092,b@opensesame"])
def test_a_password_is_not_repeated(text: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        read_addresses(text)
    assert "opensesame" not in str(refused.value)
    assert "user and password stand in the file of --command-config" in str(refused.value)
