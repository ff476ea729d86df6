-- mlflow at acf3f17fdcc7 (2.14's head)
PRAGMA foreign_keys=ON;
INSERT INTO experiments (experiment_id,name,artifact_location,lifecycle_stage,creation_time,last_update_time) VALUES
 (1,'bread','./mlruns/1','active',1717000000000,1717000000000),(2,'cakes','./mlruns/2','deleted',1717000001000,1717000002000);
INSERT INTO experiment_tags (key,value,experiment_id) VALUES ('team','ovens',1);
INSERT INTO runs (run_uuid,name,source_type,source_name,entry_point_name,user_id,status,start_time,end_time,source_version,lifecycle_stage,artifact_uri,experiment_id) VALUES
 ('11111111111141118111111111111111','hot oven','LOCAL','bake.py','','alice','FINISHED',1717000100000,1717000200000,'abc','active','./mlruns/1/1',1),
 ('22222222222242228222222222222222','cold oven','LOCAL','bake.py','','bob','FAILED',1717000300000,1717000400000,'abc','active','./mlruns/1/2',1);
INSERT INTO metrics (key,value,timestamp,run_uuid,step,is_nan) VALUES
 ('crust',0.1,1717000110000,'11111111111141118111111111111111',0,0),('crust',0.9,1717000120000,'11111111111141118111111111111111',1,0),
 ('crust',0.0,1717000310000,'22222222222242228222222222222222',0,1);
INSERT INTO latest_metrics (key,value,timestamp,step,is_nan,run_uuid) VALUES
 ('crust',0.9,1717000120000,1,0,'11111111111141118111111111111111'),('crust',0.0,1717000310000,0,1,'22222222222242228222222222222222');
INSERT INTO params (key,value,run_uuid) VALUES ('degrees','250','11111111111141118111111111111111'),('degrees','90','22222222222242228222222222222222');
INSERT INTO tags (key,value,run_uuid) VALUES ('mlflow.user','alice','11111111111141118111111111111111');
INSERT INTO registered_models (name,creation_time,last_updated_time,description) VALUES ('baker',1717000500000,1717000500000,'It bakes');
