"""Server core, store, agents, executors and clients in one process, with a seed and a fake clock.

A seed decides everything: what user code does, how long messages take, what breaks when. The core
is the real one; the store is a list or the real SQLite store; agents follow the wire protocol as
small pure classes. After the faults have stopped everything must end well (`oracles`).
Two switches add more to what happens: `asks` (people answer questions) and `operates` (people
change schedules, limits, slots and pools, and the server's host sleeps; `operated`).

    python -m tests.simulation --seeds 1000
"""
