"""The bundled example. Belongs here: the workflow, its data, and the command that shows it."""
