"""Faust agents, one file per kind of input topic. All they do is hand what arrived to the lane of its partition.

Rules of this package
1. An agent never waits and never decides: waiting would stop the one loop that delivers every topic, and with it the
   very records a lane is waiting for.
2. An agent sees fetched records (`streams.exactly_once.fetched_records.FetchedRecords`), never single records.
"""
