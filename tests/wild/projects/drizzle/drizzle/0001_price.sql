ALTER TABLE `items` ADD `price` integer;--> statement-breakpoint
UPDATE `items` SET `price` = 100 * `id`;--> statement-breakpoint
CREATE TABLE `orders` (
	`id` integer PRIMARY KEY NOT NULL,
	`item_id` integer REFERENCES items(id)
);
