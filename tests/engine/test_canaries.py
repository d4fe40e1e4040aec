"""Every private name of Faust and aiokafka that the engine touches is still there, or the failure says what broke."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from typing import Any

import pytest

from streams.exactly_once.library_internals import ATTRIBUTES, IN_SOURCE, PrivateName


def _look_up(owner: str) -> Any:  # noqa: ANN401
    module, _, name = owner.partition(":")
    found = importlib.import_module(module)
    return getattr(found, name) if name else found


@pytest.mark.parametrize("private", ATTRIBUTES, ids=lambda private: f"{private.owner}.{private.name}")
def test_the_attribute_exists(private: PrivateName) -> None:
    assert hasattr(_look_up(private.owner), private.name), f"used for: {private.used_for}"


@pytest.mark.parametrize("private", IN_SOURCE, ids=lambda private: f"{private.owner} {private.name}")
def test_the_source_still_says_so(private: PrivateName) -> None:
    assert private.name in inspect.getsource(_look_up(private.owner)), f"used for: {private.used_for}"


@pytest.mark.parametrize(("distribution", "version"), [("faust-streaming", "0.15.3"), ("aiokafka", "0.14.0")])
def test_the_version_is_the_one_this_was_written_for(distribution: str, version: str) -> None:
    assert importlib.metadata.version(distribution) == version


def test_the_back_off_is_still_read_from_the_module() -> None:
    source = inspect.getsource(_look_up("aiokafka.producer.sender:AddPartitionsToTxnHandler"))
    assert "return BACKOFF_OVERRIDE" in source
