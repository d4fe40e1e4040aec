"""On a broker that tells neither the settings of topics nor what anybody may do: the cautious side is taken."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streams.testing.records import intent, preference
from tests.dead_letters.commands import dead_letters
from tests.dead_letters.test_replay import SECRET, replayed, set_aside, world

if TYPE_CHECKING:
    from streams.testing.embedded_broker import EmbeddedBroker


def test_without_the_topics_settings_no_time_is_believed_to_be_kept(
    embedded_broker: EmbeddedBroker, topic_prefix: str
) -> None:
    here = world(embedded_broker, topic_prefix)
    now = int(time.time() * 1000)
    set_aside(here, [preference(SECRET, "e", "opt_in", at=now), intent(SECRET, "i", created_at=now)])
    done = dead_letters(here, "replay", "--execute", "--json")
    assert done.exit_code == 1
    assert sorted(done.fates().values()) == ["order_lost", "replay"]
    assert [record.topic for record in replayed(here)] == [here.names.intents[0]]
