"""Those of Django that change a database, behind a backup."""
