"""``backups/`` as a collection, its second copy, its lock, and the log of steps."""
