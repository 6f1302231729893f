"""Real processes, faults on purpose, and a checker that compares what the client, the upstream and the records say."""
