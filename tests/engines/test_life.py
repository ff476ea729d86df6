"""``just log`` and ``just find`` on either engine: the same words, the same answers."""

import json
from typing import Any

import pytest
from shop import Project


def prepared(each: Project) -> list[str]:
    """Three backups, and a live database that lacks rows and a table; the backups' names."""
    each.room()
    for statement in (
        "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price INTEGER)",
        "INSERT INTO items VALUES (1, 'bolt', 5), (2, 'copper nut', 6)",
        "CREATE TABLE stock (shop TEXT, no INTEGER, amount INTEGER, PRIMARY KEY (no, shop))",
        "INSERT INTO stock VALUES ('berlin', 3, 7)",
        'CREATE TABLE "Odd one" ("Key" TEXT PRIMARY KEY, v TEXT)',
        "INSERT INTO \"Odd one\" VALUES ('a b', 'x')",
    ):
        each.sql(statement)
    each.ok("undrop", "backup", "first")
    each.sql("UPDATE items SET price = 7 WHERE id = 1")
    each.ok("undrop", "backup", "second")
    each.sql("ALTER TABLE items RENAME COLUMN price TO price_cents")
    each.sql("ALTER TABLE items RENAME TO products")
    each.ok("undrop", "backup", "third")
    each.sql("DELETE FROM products WHERE id = 2")
    each.sql('DELETE FROM "Odd one"')
    each.sql("DROP TABLE stock")
    return [path.name for path in each.saved()]


@pytest.mark.full("postgresql")
def test_the_life_of_a_row_and_where_a_text_is(each: Project) -> None:
    _, _, newest = prepared(each)
    exact = each.exact()

    def said(*words: str) -> dict[str, Any]:
        return dict(json.loads(each.ok("undrop", *words, "--json")))

    def whats(*words: str) -> list[str]:
        return [event["what"] for event in said("log", *words)["events"][::-1]]

    assert whats("products", "1") == ["first seen", "changed", "renamed"]
    assert whats("ITEMS", "2") == ["first seen", "renamed", "gone"]
    assert whats("stock", "3", "berlin") == whats("Odd one", "a b") == ["first seen", "gone"]
    shown = each.ok("just", "log", "items", "1")
    assert "price 5 -> 7" in shown
    assert "table items is now products; price is now price_cents" in shown
    bring = each.undrop("log", "items", "2").err.splitlines()[-1]
    assert bring.endswith(f"recover --from {newest} 'rows products' --key 2")
    table = said("log", "items")["states"]
    assert [(each["rows"], each["added"], each["removed"], each["changed"]) for each in table] == [
        *((1, 0, 1, 0), (2, 0, 0, 0), (2, 0, 0, 1), (2, 2, 0, 0))
    ]
    found = said("find", "COPPER")
    assert (found["state"], found["in_live"]) == (newest, False)
    assert said("find", "bolt")["state"] == "live"
    assert each.undrop("find", "platinum").code == each.undrop("log", "items", "9").code == 4
    assert each.undrop("log", "itms").code == 2
    assert each.exact() == exact
    assert each.litter() == []


@pytest.mark.more
def test_without_a_database_the_backups_tell(each: Project) -> None:
    *_, newest = prepared(each)
    each.lose()
    each.room()
    done = each.undrop("log", "items", "1")
    assert done.code == 0, done
    assert "there is no live database: the backups alone were looked at" in done.err
    assert newest in each.undrop("find", "copper").err
