-- depends: 0001.items
ALTER TABLE items ADD COLUMN price INTEGER;
UPDATE items SET price = 100 * id;
CREATE TABLE orders (id INTEGER PRIMARY KEY, item_id INTEGER REFERENCES items (id));
