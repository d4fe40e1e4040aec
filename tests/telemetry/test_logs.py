"""Logs: machine-readable, and never anything about a customer."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import structlog

from streams.telemetry.logs import ALLOWED_KEYS, FORBIDDEN, MAX_ITEMS, MAX_TEXT, REDACTED, configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

CUSTOMER = "customer-7f3a"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """A stream every log goes to, with the process's logging put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(level="INFO", stream=stream)
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_and_logger(out: io.StringIO) -> None:
    structlog.get_logger("mesura.restore").info(
        "restored", partition=3, restored_records=120, partitions=frozenset({1})
    )
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "restored",
        "level": "info",
        "logger": "mesura.restore",
        "partition": 3,
        "restored_records": 120,
        "partitions": [1],
    }


def test_processes_that_share_a_stream_are_told_apart(out: io.StringIO) -> None:
    configure_logging(level="INFO", stream=out, slot="3")
    structlog.get_logger("mesura").info("one of ours")
    logging.getLogger("a.library").warning("one of a library's")
    assert [line["slot"] for line in lines(out)] == ["3", "3"]


@pytest.mark.parametrize(
    "key", ["customer_id", "customer", "address_hash", "payload", "key", "value", "record_key", "headers", "unheard_of"]
)
def test_what_is_not_allowed_loses_its_value(out: io.StringIO, key: str) -> None:
    structlog.get_logger("mesura").bind(**{key: CUSTOMER}).warning("suppressed")
    assert lines(out)[0][key] == REDACTED
    assert CUSTOMER not in out.getvalue()


def test_no_key_is_both_allowed_and_forbidden() -> None:
    assert not [key for key in ALLOWED_KEYS if FORBIDDEN.search(key)]


@pytest.mark.parametrize("value", [CUSTOMER.encode(), {"id": CUSTOMER}, [{"id": CUSTOMER}], ValueError(CUSTOMER)])
def test_only_numbers_and_short_texts_are_values(out: io.StringIO, value: object) -> None:
    structlog.get_logger("mesura").info("decided", reason=value)
    assert REDACTED in lines(out)[0]["reason"]
    assert CUSTOMER not in out.getvalue()


def test_long_values_are_cut(out: io.StringIO) -> None:
    structlog.get_logger("mesura").info("decided", reason="x" * 10_000, partitions=list(range(10_000)))
    assert len(lines(out)[0]["reason"]) == MAX_TEXT + 1
    assert len(lines(out)[0]["partitions"]) == MAX_ITEMS


def test_an_exception_is_its_type_and_place(out: io.StringIO) -> None:
    try:
        raise KeyError(CUSTOMER)
    except KeyError as error:
        structlog.get_logger("mesura").exception("failed")
        structlog.get_logger("mesura").error("failed", exc_info=error)
        logging.getLogger("faust.agents").exception("crashed: %r", error)
    for line in lines(out):
        assert line["error"] == "builtins.KeyError"
        assert line["error_at"][0].split(":")[0].endswith("test_logs.py")
        assert "error_message" not in line
    assert CUSTOMER not in out.getvalue()
    assert "Traceback" not in out.getvalue()


def test_an_error_of_the_system_keeps_its_message(out: io.StringIO) -> None:
    structlog.get_logger("mesura").error("not bound", exc_info=OSError(98, "Address already in use"))
    assert lines(out)[0]["error_message"] == "[Errno 98] Address already in use"


def test_libraries_are_routed_and_guarded(out: io.StringIO) -> None:
    logging.getLogger("faust.agents").error("cannot decode %r of partition %d", CUSTOMER, 3)
    logging.getLogger("faust.agents").error("cannot decode %(value)s", {"value": CUSTOMER})
    logging.getLogger("faust.agents").error("cannot decode %r", {CUSTOMER: 1})
    logging.getLogger("faust.agents").error({"value": CUSTOMER})
    logging.getLogger("aiokafka.consumer").warning("group %s: %s", "mesura", TimeoutError())
    logging.getLogger("faust").debug("below the level")
    assert [line["event"] for line in lines(out)] == [
        "cannot decode '[redacted]' of partition 3",
        "cannot decode [redacted]",
        "cannot decode '[redacted]'",
        "dict",
        "group mesura: ",
    ]
    assert CUSTOMER not in out.getvalue()


def test_a_template_that_does_not_fit_is_shown_without_its_arguments(out: io.StringIO) -> None:
    (ours,) = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler) and h.stream is out]
    ours.handle(logging.LogRecord("faust", logging.ERROR, "", 0, "partition %d", (CUSTOMER,), None))
    assert lines(out)[0]["event"] == "partition %d"


def test_a_person_at_a_terminal_gets_lines_to_read(out: io.StringIO) -> None:
    configure_logging(level="info", stream=out, pretty=True)
    structlog.get_logger("mesura").info("restored", partition=3, customer=CUSTOMER)
    assert "restored" in out.getvalue()
    assert "partition" in out.getvalue()
    assert CUSTOMER not in out.getvalue()
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(out.getvalue())


@pytest.mark.parametrize(
    ("said", "level"), [("debug", "DEBUG"), ("WARNING", "WARNING"), ("loud", "INFO"), ("", "INFO")]
)
def test_the_level_comes_from_the_environment(
    out: io.StringIO, monkeypatch: pytest.MonkeyPatch, said: str, level: str
) -> None:
    monkeypatch.setenv("MESURA_LOG_LEVEL", said)
    configure_logging(stream=out)
    assert logging.getLevelName(logging.getLogger().level) == level


def test_a_terminal_is_recognised(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "isatty", lambda: True, raising=False)
    configure_logging(stream=out)
    structlog.get_logger("mesura").info("restored")
    assert not out.getvalue().startswith("{")
