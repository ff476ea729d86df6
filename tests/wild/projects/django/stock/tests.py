from django.core.management import call_command
from django.test import TestCase, TransactionTestCase

from stock.models import Item, Supplier


class Items(TestCase):
    def test_an_item_has_a_supplier(self):
        supplier = Supplier.objects.create(name="one")
        Item.objects.create(name="nail", price="0.10", supplier=supplier)
        self.assertEqual(Item.objects.count(), 1)


class Flushed(TransactionTestCase):
    def test_a_flush_leaves_nothing(self):
        Supplier.objects.create(name="one")
        call_command("flush", verbosity=0, interactive=False)
        self.assertEqual(Supplier.objects.count(), 0)
