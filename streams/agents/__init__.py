"""Faust agents, one file per kind of input topic. They only hand what has arrived to the engine.

Rules of this package
1. An agent never waits and never decides. Waiting would stop the one loop that delivers every topic, and with it the
   very records for which a lane waits.
2. An agent sees fetched records (`streams.exactly_once.fetched_records.FetchedRecords`), never single records.
"""
