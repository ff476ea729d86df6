"""The agents' hook: what a tool call would do to the guard itself."""
