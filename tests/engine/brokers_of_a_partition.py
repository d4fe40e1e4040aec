"""The replicas of one partition, as Apache Kafka has them follow leaders: a model that knows nothing of the engine.

- An election makes the epoch one larger. Who is cut off does not hear of it and goes on as it was.
- A leader acknowledges a record once all that are in sync with it have it, at least `min_insync` of them.
- A replica that is asked compares epochs before anything else (`Partition.getLocalLog` in Kafka's source).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

NO_ERROR: Final = 0
NOT_LEADER_OR_FOLLOWER: Final = 6
FENCED_LEADER_EPOCH: Final = 74
UNKNOWN_LEADER_EPOCH: Final = 75


@dataclass
class Replica:
    """What one broker knows."""

    number: int
    epoch: int = 0
    leader: int = 1
    end: int = 0
    """Of what it has, and of what is acknowledged, as far as it knows: one number, for no record here is under way."""


@dataclass
class Partition:
    """All replicas, and what has been promised."""

    count: int
    min_insync: int
    replicas: dict[int, Replica] = field(init=False)
    cut_off: set[int] = field(default_factory=set)
    """From the other brokers and the controller; clients reach them all the same."""
    down: set[int] = field(default_factory=set)
    """Nobody reaches them."""
    acknowledged: int = 0
    """The largest end below which everything was acknowledged by whichever leader."""
    epoch: int = 0

    def __post_init__(self) -> None:
        self.replicas = {number: Replica(number) for number in range(1, self.count + 1)}

    @property
    def together(self) -> list[int]:
        """Who reaches the controller."""
        return [number for number in self.replicas if number not in self.cut_off | self.down]

    def elect(self, number: int) -> None:
        """The controller names a leader among those it reaches that have everything."""
        able = [each for each in self.together if self.replicas[each].end >= self.acknowledged]
        if number not in able:
            return
        self.epoch += 1
        for each in self.together:
            follower = self.replicas[each]
            follower.epoch, follower.leader, follower.end = self.epoch, number, self.replicas[number].end

    def catch_up(self) -> None:
        """Who is there again hears of the epoch and has what the leader has."""
        leaders = [each for each in self.together if self.replicas[each].epoch == self.epoch]
        for number in self.together if leaders else ():
            known = self.replicas[leaders[0]]
            follower = self.replicas[number]
            follower.epoch, follower.leader = known.epoch, known.leader
            if known.leader in self.together:
                follower.end = self.replicas[known.leader].end

    def write(self, number: int) -> None:
        """A producer writes to whom it takes for the leader. A deposed one cannot make its set of replicas smaller."""
        leader = self.replicas[number]
        reached = {number} if number in self.cut_off else set(self.together)
        following = [each for each in reached if self.replicas[each].epoch == leader.epoch]
        is_leader = leader.leader == number and number not in self.down
        if is_leader and number in self.together and len(following) >= self.min_insync:
            end = leader.end + 1
            for each in following:
                self.replicas[each].end = end
            self.acknowledged = max(self.acknowledged, end)

    def answer(self, number: int, epoch: int) -> tuple[int, int]:
        """Error and end, as this replica answers a question that names an epoch."""
        known = self.replicas[number]
        if epoch < known.epoch:
            return FENCED_LEADER_EPOCH, -1
        if epoch > known.epoch:
            return UNKNOWN_LEADER_EPOCH, -1
        if known.leader != number:
            return NOT_LEADER_OR_FOLLOWER, -1
        return NO_ERROR, known.end
