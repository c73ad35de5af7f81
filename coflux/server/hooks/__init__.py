"""Telling others how runs ended: what hooks there are, what is owed, and how it is delivered.

Belongs here: hooks, deliveries and their means. Does not belong here: runs, and anything that
decides about them: a hook that fails changes nothing.
"""
