from django.db import models


class Supplier(models.Model):
    name = models.CharField(max_length=50, unique=True)


class Item(models.Model):
    name = models.CharField(max_length=50)
    note = models.TextField(default="")
    price = models.DecimalField(max_digits=8, decimal_places=2)
    cents = models.IntegerField(null=True)
    supplier = models.ForeignKey(Supplier, on_delete=models.CASCADE)
