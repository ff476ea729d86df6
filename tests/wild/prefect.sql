-- Prefect at 7655f31c5157 (3.4's head)
PRAGMA foreign_keys=ON;
INSERT INTO flow (id,name,tags) VALUES ('11111111-1111-4111-8111-111111111111','bake','["oven"]'),('22222222-2222-4222-8222-222222222222','clean','[]');
INSERT INTO flow_run (id,name,flow_id,parameters,tags,run_count,state_type,state_name,start_time) VALUES
 ('33333333-3333-4333-8333-333333333333','brave-loaf','11111111-1111-4111-8111-111111111111','{"degrees": 250}','["oven"]',1,'COMPLETED','Completed','2025-05-01 10:00:00.000000'),
 ('44444444-4444-4444-8444-444444444444','shy-broom','22222222-2222-4222-8222-222222222222','{}','[]',2,'FAILED','Failed','2025-05-02 10:00:00.000000');
INSERT INTO variable (id,name,value,tags) VALUES ('55555555-5555-4555-8555-555555555555','degrees','250','["oven"]');
INSERT INTO concurrency_limit (id,tag,concurrency_limit,active_slots) VALUES ('66666666-6666-4666-8666-666666666666','oven',2,'[]');
