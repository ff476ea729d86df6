"""``undrop init``: into somebody's project, and out of it again byte for byte."""
