"""Starting and stopping agents for pools: one module for each means (process, docker, kubernetes).

Belongs here: the processes of launched agents, and what their platforms are told. Does not belong
here: when an agent is started or stopped (the core's `launches`), and what is remembered of it (the
project's `launching`).
"""
