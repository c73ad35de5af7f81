"""The pure core: given events, when an event, then exactly these changes and effects."""
