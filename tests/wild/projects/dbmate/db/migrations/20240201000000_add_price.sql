-- migrate:up
ALTER TABLE items ADD COLUMN price INTEGER;
UPDATE items SET price = 100 * id;
CREATE TABLE orders (id INTEGER PRIMARY KEY, item_id INTEGER REFERENCES items (id));

-- migrate:down
DROP TABLE orders;
ALTER TABLE items DROP COLUMN price;
