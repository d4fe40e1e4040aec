"""What users of the package need in their own tests: brokers that start in a moment, records, and a clock.

    with EmbeddedBroker(partitions=4) as broker:
        create_plan(broker, TopicPlan(TopicNames(), 4, 1))
        publish(broker.bootstrap_servers, [intent("c-1", "i-1"), preference("c-2", "p-1", "opt_out")])

| to | use |
|---|---|
| start a broker in this process tree, without Java | `embedded_broker.EmbeddedBroker` |
| start Apache Kafka, fetched and held here | `real_kafka.RealKafka`; one for several processes: `shared_kafka` |
| start three brokers, kill them, cut them off from one another | `kafka_cluster.KafkaCluster` |
| have a bad network | `network.Network` |
| create the topics of a plan | `broker.create_plan` |
| build intents, preferences and outcomes | `records` |
| publish them, and read topics to their end | `kafka_io` |
| look at a log as the broker stored it, or damage it | `raw_log` |
| have a policy whose hours are open at any time | `policies.open_all_hours` |
| stand still in time, or move it | `fake_clock.FakeClock` |
| wait for a condition instead of sleeping | `waiting` |

Rules of this package
1. The product does not need it: nothing but the demonstration, which starts brokers, imports it (import-linter).
2. What it starts ends with whoever started it, however that ends.
3. What judges a gate is not here: that is `streams.audit`, which is part of the product.
"""
