"""What can go wrong with the brokers and helpers of `streams.testing`.

TestingError
├── BrokerNotAvailableError      a broker could not be started, or has ended
│   └── KafkaNotInstalledError   Java or Maven is missing, or Kafka could not be fetched
├── DeadlineError                a condition did not come true in time
├── RefusedError                 a broker refused what it was asked to do
└── OffsetGapError               a log has a hole that no transaction marker explains
"""

from __future__ import annotations


class TestingError(Exception):
    """Root of everything raised by `streams.testing`."""

    __test__ = False  # the name begins like a test class; pytest must not collect it


class BrokerNotAvailableError(TestingError):
    """A broker could not be started, or has ended."""


class KafkaNotInstalledError(BrokerNotAvailableError):
    """Java or Maven is missing, or Apache Kafka could not be fetched. The message says what to install."""


class RefusedError(TestingError):
    """A broker runs but refused what it was asked to do, for instance to create a topic that exists."""


class DeadlineError(TestingError):
    """A condition did not come true in time. The message names the condition."""


class OffsetGapError(TestingError):
    """Records are missing from a log: a hole in its offsets that is not a transaction marker."""
