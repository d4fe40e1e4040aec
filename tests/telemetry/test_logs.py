"""Logs: machine-readable, and never anything about a customer."""

from __future__ import annotations

import ast
import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiokafka
import faust
import mode
import orjson
import pytest
import structlog

import streams.telemetry
from streams.telemetry.libraries import LEFT_OUT, PASSING, REWORDED
from streams.telemetry.logs import ALLOWED_KEYS, FORBIDDEN, MAX_ITEMS, MAX_TEXT, REDACTED, configure_logging

CUSTOMER = "customer-7f3a"


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


def test_what_the_client_says_of_its_requests_in_detail_loses_its_values(
    out: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    """A login by PLAIN is a request with the password in it."""
    configure_logging(level="DEBUG", stream=out)
    caplog.set_level(logging.DEBUG, "aiokafka.conn")  # a worker in this process keeps it quieter
    logging.getLogger("aiokafka.conn").debug("%s Request %d: %s", "node", 7, f"SaslAuthenticate({CUSTOMER})")
    logging.getLogger("aiokafka.conn").info("%s is up", "node")
    (request, ordinary) = lines(out)
    assert request["event"] == f"{REDACTED} Request 7: {REDACTED}"
    assert ordinary["event"] == "node is up"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Exception in callback Reader.read({CUSTOMER})", "Exception in callback Reader.read"),
        (f"Task exception was never retrieved\nfuture: <Task {CUSTOMER}>", "Task exception was never retrieved"),
        (f"cannot read '{CUSTOMER}'", "cannot read"),
        (f"cannot read: {CUSTOMER}", "cannot read"),
        (f"[{CUSTOMER}]", ""),
        ("one of a library's own", "one of a library's own"),
    ],
)
def test_of_a_text_put_together_elsewhere_the_words_are_shown_and_no_value(
    out: io.StringIO, text: str, shown: str
) -> None:
    logging.getLogger("asyncio").error(text)
    assert [line["event"] for line in lines(out)] == [shown]


def test_below_a_warning_only_we_speak(out: io.StringIO) -> None:
    logging.getLogger("streams.exactly_once.faust_recovery").info(
        "[^--Recovery]: Seek stream partitions to committed offsets."
    )
    logging.getLogger("aiokafka.consumer.subscription_state").info("Updating subscribed topics to: %s", {"a"})
    structlog.get_logger("streams").info("The policy is in force.")
    assert [line["event"] for line in lines(out)] == ["The policy is in force."]
    logging.getLogger().setLevel(logging.DEBUG)
    logging.getLogger("a.library").debug("everything, for whoever asks")
    assert lines(out)[-1]["event"] == "everything, for whoever asks"


@pytest.mark.parametrize("begins", LEFT_OUT)
def test_what_is_ordinary_or_not_so_here_is_left_out(out: io.StringIO, begins: str) -> None:
    logging.getLogger("faust.transport").error("and besides, " + begins.replace("%s", "mesura"))
    for prefix in ("", "[^-FetchedRecordsConsumer]: ", "[^--FetchedRecordsConsumerThread]: "):
        logging.getLogger("faust.transport").error(prefix + begins, *(["mesura"] if "%s" in begins else []))
    assert len(lines(out)) == 1


@pytest.mark.parametrize("begins", LEFT_OUT | REWORDED | PASSING)
def test_what_is_judged_is_still_said_by_the_libraries(begins: str) -> None:
    """A line that a newer version words differently would be shown again: then it has to be judged again."""
    source = "".join(
        path.read_text(encoding="utf-8")
        for package in (aiokafka, faust, mode)
        for path in Path(package.__path__[0]).rglob("*.py")
    )
    assert begins in source


def test_a_service_is_not_named_by_its_place_in_a_tree(out: io.StringIO) -> None:
    logging.getLogger("streams.exactly_once.transport").error("[^--Thread]: Thread keepalive is not responding...")
    logging.getLogger("streams.exactly_once.transport").error("[^-Consumer]: Crashed reason=%r", ValueError(CUSTOMER))
    assert [(line["event"], line["level"]) for line in lines(out)] == [
        ("The reading thread does not answer, because it lacks processor time or was frozen.", "warning"),
        ("Crashed reason='ValueError'", "error"),
    ]


def keys_of_log_calls() -> set[tuple[str, str]]:
    """Every key that this package gives to a log call, and where."""
    found = set()
    for path in Path(streams.telemetry.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                found |= {(keyword.arg, f"{path.name}:{node.lineno}") for keyword in node.keywords if keyword.arg}
    return found


def test_whatever_we_say_is_shown() -> None:
    found = keys_of_log_calls()
    assert {"exit_code", "policy_hash", "partitions"} & {key for key, _ in found}
    assert [(key, where) for key, where in found if key not in ALLOWED_KEYS and key != "exc_info"] == []


def test_numbers_of_a_place_and_of_an_end_are_shown(out: io.StringIO) -> None:
    numbers = {"exit_code": -9, "partition": 3, "offset": 17, "count": 5, "restarts": 2, "process": 1}
    structlog.get_logger("streams").error("It ended.", **numbers)
    (line,) = lines(out)
    assert line.items() >= numbers.items()


@pytest.mark.parametrize("text", ["half a character: \udc80", 2**70, "plain"])
def test_what_json_cannot_say_as_it_is_stops_no_line(out: io.StringIO, text: object) -> None:
    structlog.get_logger("streams").info("said", file=text)
    (line,) = lines(out)
    assert line["event"] == "said"
    assert "file" in line


def test_of_a_line_that_cannot_be_written_nothing_is_shown_in_another_way(
    out: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    class Unwritable:
        def __str__(self) -> str:
            raise RuntimeError(CUSTOMER)

    (ours,) = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler) and h.stream is out]
    ours.handle(logging.LogRecord("aiokafka", logging.ERROR, "x.py", 7, "to %s", (Unwritable(),), None))
    (line,) = lines(out)
    assert line == {"event": "A log line could not be written.", "error": "RuntimeError", "error_at": ["x.py:7"]}
    assert CUSTOMER not in "".join(capsys.readouterr())


NOBODY_CATCHES = {
    "in the main thread": "raise ValueError(CUSTOMER)",
    "in a thread": "t = threading.Thread(target=int, args=(CUSTOMER,)); t.start(); t.join()",
    "where none can be raised": "class A:\n    def __del__(self): raise ValueError(CUSTOMER)\nA()",
    "a warning": "warnings.warn(CUSTOMER, RuntimeWarning)",
    "in a task": "async def main():\n    asyncio.create_task(fail()); await asyncio.sleep(0)\n"
    "async def fail(): raise ValueError(CUSTOMER)\nasyncio.run(main())",
    "in a callback": "async def main():\n    asyncio.get_running_loop().call_soon(int, CUSTOMER)\n"
    "    await asyncio.sleep(0)\nasyncio.run(main())",
    "in a generator left alone": "async def g():\n    try: yield 1\n    finally: raise ValueError(CUSTOMER)\n"
    "async def main():\n    a = g(); await a.__anext__(); del a\n    await asyncio.sleep(0)\nasyncio.run(main())",
}
SCRIPT = f"""
import asyncio, sys, threading, warnings
from streams.telemetry.logs import configure_logging, log_what_nobody_catches
CUSTOMER = "{CUSTOMER}"
configure_logging()
log_what_nobody_catches()
"""


@pytest.mark.parametrize("where", NOBODY_CATCHES)
def test_what_nobody_catches_is_a_line_like_any_other(where: str) -> None:
    script = SCRIPT + NOBODY_CATCHES[where]
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    told = [json.loads(line) for line in ended.stderr.splitlines()]
    assert told, ended
    assert all(line["event"] and (line.get("error") or line.get("warning")) for line in told)
    assert CUSTOMER not in ended.stdout + ended.stderr


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
