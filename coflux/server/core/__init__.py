"""The decisions of a project, and nothing else: pure, deterministic, without clock or I/O.

`Machine.handle(event, now)` takes something that came from outside and returns what is now a fact
(changes, for the store) and what should be done about it (effects, for the shell). Belongs here:
every rule of SEMANTICS.md about what happens next. Does not belong here: reading the time, drawing
random numbers other than from the source passed in, files, sockets, SQL, presentation.
"""
