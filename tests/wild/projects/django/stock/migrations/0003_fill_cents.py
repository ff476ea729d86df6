from django.db import migrations


def fill(apps, schema_editor):
    Item = apps.get_model("stock", "Item")
    for item in Item.objects.all():
        item.cents = int(item.price * 100)
        item.save(update_fields=["cents"])


class Migration(migrations.Migration):
    dependencies = [
        ("stock", "0002_item_cents"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
