"""``manage.py loaddata``, behind a backup."""

from undrop.django.guarded import command

Command = command("loaddata")
