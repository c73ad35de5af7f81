"""A project's process: the impure hand around the pure core.

Belongs here: sockets, the clock, the database, and carrying out what the core wishes. Does not
belong here: any rule of what happens next.
"""
