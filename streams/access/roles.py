"""What each role needs on the brokers, and what for.

Roles of people and programs around a gate. Several may be one principal's: a gateway that publishes intents too has
both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

from streams.access.permission import Permission

if TYPE_CHECKING:
    from streams.topics import TopicNames

Role = Literal[
    "gate", "intents", "preferences", "outcomes", "gateway", "reader", "replayer", "auditor", "privacy", "operator"
]

ROLES: Final[tuple[Role, ...]] = get_args(Role)

PURPOSES: Final[dict[Role, str]] = {
    "gate": "`mesura run`",
    "intents": "a system that publishes intents",
    "preferences": "a system that publishes what customers say: opt-outs, consents, profiles",
    "outcomes": "a system that publishes outcomes and does not send itself",
    "gateway": "a messaging gateway: consumes approvals, reports outcomes",
    "reader": "`mesura watch`, `explain --decision`, `dead-letters list` and `show`: whoever looks at decisions",
    "replayer": "`mesura dead-letters replay`",
    "auditor": "`mesura audit`",
    "privacy": "`mesura customer`: whoever answers what customers ask for; `show` and `export` need `Read` alone",
    "operator": "`mesura topics create`",
}

GROUP_OF_GATEWAYS: Final = "gateway"
"""Stands for the name of a gateway's own consumer group."""

_SETTINGS: Final = "see whether its settings would lose records"


def permissions_of(
    role: Role, names: TopicNames, application_id: str, gateway_group: str = GROUP_OF_GATEWAYS
) -> tuple[Permission, ...]:
    """What the role needs for a gate with these topics."""
    if role == "gate":
        return _gate(names, application_id)
    if role == "gateway":
        return (
            Permission("topic", names.approved, "Read", "consume approvals and withdrawals"),
            Permission("group", gateway_group, "Read", "share them among its instances, and commit how far it is"),
            Permission("topic", names.outcomes, "Write", "report what became of messages"),
        )
    if role == "intents":
        return tuple(Permission("topic", name, "Write", "publish intents") for name in names.intents)
    if role == "preferences":
        return (Permission("topic", names.preferences, "Write", "publish what customers say"),)
    if role == "outcomes":
        return (Permission("topic", names.outcomes, "Write", "publish what became of messages"),)
    if role == "reader":
        read = (names.approved, names.suppressed, names.dead_letter)
        policy = Permission("topic", names.control, "Read", "find the text of the policy that a decision names")
        return (*(Permission("topic", name, "Read", "show what the gate has answered") for name in read), policy)
    if role == "replayer":
        return _replayer(names)
    if role == "auditor":
        return tuple(
            Permission("topic", name, "Read", "read everything that a verdict rests on") for name in names.all()
        )
    if role == "privacy":
        return (
            *(Permission("topic", name, "Read", "find everything that is held of a customer") for name in names.all()),
            Permission("topic", names.preferences, "Write", "erase and correct, by the events that customers send"),
            *(
                Permission("topic", name, "DescribeConfigs", "say until when what stays")
                for name in names.all()
                if name not in {names.batches, names.control}  # they hold nothing of customers
            ),
        )
    return (
        *(Permission("topic", name, "Create", "create it") for name in names.all()),
        *(Permission("topic", name, "Describe", "see whether it exists, and its partitions") for name in names.all()),
        *(Permission("topic", name, "DescribeConfigs", "compare its settings with the plan") for name in names.all()),
    )


def _replayer(names: TopicNames) -> tuple[Permission, ...]:
    inputs = (*names.intents, names.preferences, names.outcomes)
    return (
        Permission("topic", names.dead_letter, "Read", "find the dead letters, and what their records hold"),
        *(Permission("topic", name, "Read", "see which of them were replayed before") for name in inputs),
        *(Permission("topic", name, "Write", "publish their records again") for name in inputs),
        *(Permission("topic", name, "DescribeConfigs", "see whether a record can keep its time") for name in inputs),
        Permission("topic", names.control, "Read", "know the words of the policy in force"),
    )


def _gate(names: TopicNames, application_id: str) -> tuple[Permission, ...]:
    inputs = (*names.intents, names.preferences, names.outcomes, names.rerouted)
    outputs = (names.approved, names.suppressed, names.dead_letter, names.rerouted, names.batches)
    return (
        *(Permission("topic", name, "Read", "take what arrives") for name in inputs),
        *(Permission("topic", name, "Write", "answer, within transactions") for name in outputs),
        Permission("topic", names.ledger, "Read", "restore the ledgers"),
        Permission("topic", names.ledger, "Write", "keep the ledgers, within transactions"),
        Permission("topic", names.control, "Read", "know the partition count, the policy and the key's fingerprint"),
        Permission("topic", names.control, "Write", "publish the policy in force"),
        *(Permission("topic", name, "DescribeConfigs", _SETTINGS) for name in names.all()),
        Permission("group", application_id, "Read", "share the partitions among the workers, and commit offsets"),
        Permission(
            "transactional-id", f"{application_id}-", "Write", "write in transactions; each lane of a slot has an id",
            is_prefix=True,
        ),
    )  # fmt: skip
