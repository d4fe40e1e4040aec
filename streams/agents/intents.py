# ruff: noqa: ANN401 - Faust is untyped
"""The agent for intents, whatever their priority."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.exactly_once.engine import Engine


def declare(app: Any, topic: Any, engine: Engine) -> None:
    """Declare the agent that hands what arrives on this topic to the engine."""

    @app.agent(topic, name=f"intents-{topic.get_topic_name()}")  # type: ignore[untyped-decorator]
    async def intents(batches: Any) -> None:
        async for arrived in batches:
            engine.arrived(arrived)
