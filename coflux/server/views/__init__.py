"""What people and programs are shown: facts as JSON.

Belongs here: functions from state to dicts with the field names that DESIGN.md fixes. Does not
belong here: deciding, waiting, sockets, access.
"""
