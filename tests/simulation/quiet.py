"""Histories say nothing: thousands of them a minute would."""

from __future__ import annotations

import logging

import structlog


def quiet() -> None:
    """Keep the engine's log to what ends a program."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
