"""``manage.py flush``, behind a backup."""

from undrop.django.guarded import command

Command = command("flush")
