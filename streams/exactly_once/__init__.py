"""The engine: it moves records from input topics to outputs and state, each exactly once. It knows no rule.

    interfaces, settings, errors      what the engine is told, what it is given, and what ends it
    engine                            puts the parts of one worker together; everybody else speaks to this
    assignment, restore, startup      which partitions are owned, with which state, from which positions
    transport, fetched_records        record batches out of Faust and aiokafka; `faust_recovery` calls the engine
    arrivals, input_queue, partition  from what was fetched to what waits on a partition
    lane                              the loop that commits one transaction per batch
    live_scheduler, replay_scheduler  what the next batch holds: behind the `barrier`, or by the records' time
    transaction, fencing, sizes       how a batch is committed, and by whom it may be
    changelog, batch_log, control     what the engine itself writes, byte for byte
    clients, offsets                  every connection to a broker, as a protocol; where logs begin and end
    topic_rules, topic_watch          which settings of topics are refused, at start and later
    failure                           the first error, which ends the worker

Each of these modules begins with its rules. They import downwards only (see the import walls in pyproject.toml), and
`library_internals` names every private attribute of Faust and aiokafka that is used here.
"""
