"""What became of every intent, counted from the topics' bytes; shares no code with the gate or the audit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cluster.races import PREFIX
from tests.system.harness import origin, origin_of_dead_letter, place_of, value_of

if TYPE_CHECKING:
    from tests.cluster.races import Races
    from tests.system.harness import Place, World


@dataclass(frozen=True)
class Counts:
    """Of one gate."""

    intents: int
    decisions: int
    dead_letters: int
    """Of intents."""
    lost: int
    """Intents without an answer."""
    doubled: int
    """Answers beyond an intent's first."""
    races: int
    """Intents sent after the acknowledgement of their customer's no."""
    approved_after_no: int
    """Of those."""
    approved_silent: int
    """Approved intents of customers who said nothing: that the races can be lost."""

    @property
    def are_clean(self) -> bool:
        """Whether every promise is kept, and whether that was shown of anything."""
        kept = not (self.lost or self.doubled or self.approved_after_no)
        return kept and bool(self.intents and self.races and self.approved_silent)


def count(world: World, races: Races) -> Counts:
    """Read everything there is."""
    intents = {place_of(record) for record in world.read(*world.names.intents)}
    answers: Counter[Place] = Counter()
    after_no = silent = 0
    decisions = 0
    for record in world.read_outputs():
        answer = value_of(record)
        if answer["type"] == "withdrawn":
            continue
        decisions += 1
        answers[origin(record)] += 1
        customer = (record.key or b"").decode()
        if answer["type"] == "approved" and customer.startswith(PREFIX):
            after_no += customer in races.sent
            silent += customer in races.silent
    letters = [origin_of_dead_letter(record) for record in world.read(world.names.dead_letter)]
    answers.update(place for place in letters if place.topic in world.names.intents)
    return Counts(
        intents=len(intents),
        decisions=decisions,
        dead_letters=answers.total() - decisions,
        lost=len(intents - answers.keys()),
        doubled=answers.total() - len(answers),
        races=len(races.sent),
        approved_after_no=after_no,
        approved_silent=silent,
    )
