"""Where facts are kept: SQLite through peewee, one writing connection per project process.

Belongs here: schema, migrations, writing batches of changes, reading them back. Does not belong
here: rules; nothing here decides anything.
"""
