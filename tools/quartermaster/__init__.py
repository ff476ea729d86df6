"""Quartermaster: a shop's inventory, the worked example that undrop guards in this repository."""
