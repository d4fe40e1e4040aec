"""The whole gate: a worker process on a broker, judged by what it committed."""
