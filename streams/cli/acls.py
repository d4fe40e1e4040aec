"""`mesura topics acls`: what a role may do on the brokers, as commands for Kafka or as YAML for Strimzi.

It prints and changes nothing. It needs no broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import click

from streams.access.commands import kafka_acls, strimzi_acls
from streams.access.roles import GROUP_OF_GATEWAYS, PURPOSES, ROLES, Role, permissions_of
from streams.cli.options import topic_names, topic_options

if TYPE_CHECKING:
    from streams.access.commands import Action


@click.command()
@click.option("--role", type=click.Choice(ROLES), required=True, help="Who: see docs/access.md.")
@click.option(
    "--principal",
    default="User:NAME",
    show_default=True,
    help="As Kafka names it: User:gate for a login, User:CN=gate,O=… for a client certificate.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["commands", "strimzi"]),
    default="commands",
    show_default=True,
    help="commands: for kafka-acls.sh. strimzi: the authorization of a KafkaUser.",
)
@click.option("--remove", is_flag=True, help="Commands that take the permissions away again.")
@click.option(
    "--bootstrap",
    default="HOST:PORT",
    show_default=True,
    envvar="MESURA_BOOTSTRAP",
    show_envvar=True,
    help="Written into the commands.",
)
@click.option(
    "--application-id",
    default="mesura",
    show_default=True,
    envvar="MESURA_APPLICATION_ID",
    show_envvar=True,
    help="Of the gate.",
)
@click.option("--gateway-group", default=GROUP_OF_GATEWAYS, show_default=True, help="Consumer group of the gateway.")
@topic_options
def acls(
    role: str,
    principal: str,
    form: Literal["commands", "strimzi"],
    remove: bool,
    bootstrap: str,
    application_id: str,
    gateway_group: str,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Print the permissions of a role: the fewest with which it works."""
    if form == "strimzi" and remove:
        raise click.UsageError("--remove is for commands. With Strimzi, take the lines out of the KafkaUser.")
    who = cast("Role", role)
    permissions = permissions_of(who, topic_names(prefix, intent_topics, renamed_topics), application_id, gateway_group)
    if form == "strimzi":
        click.echo(strimzi_acls(permissions), nl=False)
        return
    click.echo(f"# {PURPOSES[who]}")
    action: Action = "remove" if remove else "add"
    for command in kafka_acls(permissions, principal, bootstrap, action):
        click.echo(command)
