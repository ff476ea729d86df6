"""PostgreSQL: what is asked of a database, answered by its own tools."""
