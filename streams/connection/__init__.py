"""How clients connect to the cluster: by a file of Kafka's client properties and by `MESURA_KAFKA_…` variables.

    cluster = Cluster("kafka-1:9093", ConnectionSource(Path("client.properties")))
    Producer({**cluster.client_settings(), "acks": "all"})

Rules of this package
1. A setting about security is honoured or refused, never passed over: what is left out of a connection quietly would be
   believed to protect it.
2. A secret comes from a file or from the environment, and goes into the client alone. It is in no `repr`, no log line,
   no error text, and no setting that is handed to another process.
3. Whatever is on disk is read again for every new connection. What cannot be used then does not replace what could.
"""
