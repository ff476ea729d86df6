"""The agents' hook: what a tool call would do, and a backup before it."""
