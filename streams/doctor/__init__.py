"""Looks for what is wrong around a gate: its connection, permissions, topics, producers, clock, policy, key, versions.

Rules of this package
1. It only reads. It names no topic to a broker that does not exist, joins no group and commits nothing.
   Where no group ever was, Kafka itself makes `__consumer_offsets` when a client asks for a group's coordinator.
2. Nothing of a record is shown: neither key nor value nor header. Records are counted.
3. What could not be looked at is not in order: the finding says `not_possible`, and why.
"""
