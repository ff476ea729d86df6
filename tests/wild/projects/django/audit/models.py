from django.db import models


class Event(models.Model):
    what = models.CharField(max_length=50)
    who = models.CharField(max_length=50, default="")
