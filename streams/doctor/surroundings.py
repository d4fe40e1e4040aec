"""The connection, and what we may do once it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.access.check import sentence, told_of
from streams.access.roles import permissions_of
from streams.brokers import BrokersNotReached, reach_brokers
from streams.connection.errors import ConnectionRefused
from streams.doctor.finding import NOT_REACHED, SEE_CONNECTION, Finding, NotPossible, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.connection.cluster import Cluster
    from streams.doctor.subject import Subject


def look_at_connection(cluster: Cluster) -> Finding:
    """Connect and log in as every client does."""
    try:
        reach_brokers(cluster.bootstrap_servers, cluster.connection)
    except (BrokersNotReached, ConnectionRefused) as not_reached:
        return Finding("connection", State.FAILURE, str(not_reached), "docs/connections.md lists what is said and why.")
    return Finding("connection", State.OK, f"A broker answers at {cluster} and lets us in.")


def look_at_permissions(subject: Subject) -> Iterator[Finding]:
    """Whether the principal we log in as has what the gate needs."""
    if subject.listed is None:
        raise NotPossible(NOT_REACHED, SEE_CONNECTION)
    told = told_of(subject.cluster, permissions_of("gate", subject.names, subject.application_id))
    # No broker tells of transactional ids.
    untold = [each for each in told.untold if each.resource != "transactional-id"]
    if told.missing:
        yield Finding(
            "permissions",
            State.FAILURE,
            sentence(subject.cluster, told.missing, "gate"),
            "Grant them, or give doctor the login of the gate.",
        )
    if untold:
        yield Finding(
            "permissions",
            State.NOT_POSSIBLE,
            f"The brokers do not tell whether we have {len(untold)} of the gate's permissions, among them {untold[0]}.",
            "`mesura topics acls --role gate` lists what has to be granted.",
        )
    if not told.missing and not untold:
        yield Finding(
            "permissions",
            State.OK,
            "We may do on topics and group what the gate needs. Of transactional ids no broker tells.",
        )
