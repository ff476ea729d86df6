INSERT INTO stock_supplier (id, name) VALUES (1, 'Iron'), (2, 'Wood');
INSERT INTO stock_item (id, name, note, price, supplier_id) VALUES
  (1, 'nail', 'by the dozen', 0.10, 1), (2, 'board', 'oak', 12.50, 2);
