-- dstack at 22d74df9897e (0.20.0's head)
PRAGMA foreign_keys=ON;
INSERT INTO users (id,name,token,global_role,projects_quota,email,token_hash,active,created_at,deleted) VALUES
 ('11111111111141118111111111111111','admin','enc:identity:noname:dG9rZW4tYWRtaW4=','ADMIN',3,'admin@example.com','hash-admin',1,'2025-11-01 10:00:00.000000',0),
 ('22222222222242228222222222222222','alice','enc:identity:noname:dG9rZW4tYWxpY2U=','USER',3,NULL,'hash-alice',1,'2025-11-02 10:00:00.000000',0);
INSERT INTO projects (id,name,ssh_private_key,ssh_public_key,owner_id,deleted,created_at,is_public) VALUES
 ('33333333333343338333333333333333','main','PRIVATE','ssh-rsa AAAA','11111111111141118111111111111111',0,'2025-11-01 10:00:01.000000',0);
INSERT INTO members (id,project_id,user_id,project_role,member_num) VALUES
 ('44444444444444448444444444444441','33333333333343338333333333333333','11111111111141118111111111111111','ADMIN',0),
 ('44444444444444448444444444444442','33333333333343338333333333333333','22222222222242228222222222222222','USER',1);
INSERT INTO repos (id,project_id,name,type,info) VALUES
 ('55555555555545558555555555555555','33333333333343338333333333333333','virtual-repo','VIRTUAL','{"repo_type": "virtual"}');
INSERT INTO fleets (id,name,project_id,created_at,last_processed_at,deleted,status,spec) VALUES
 ('66666666666646668666666666666666','gpu-fleet','33333333333343338333333333333333','2025-11-03 09:00:00.000000','2025-11-03 09:00:00.000000',0,'ACTIVE','{"configuration": {"type": "fleet", "name": "gpu-fleet"}}');
INSERT INTO instances (id,name,created_at,deleted,project_id,status,termination_idle_time,price,unreachable,instance_num,fleet_id,last_processed_at,busy_blocks,health) VALUES
 ('77777777777747778777777777777777','gpu-fleet-0','2025-11-03 09:01:00.000000',0,'33333333333343338333333333333333','IDLE',300,1.25,0,0,'66666666666646668666666666666666','2025-11-03 09:02:00.000000',0,'HEALTHY');
INSERT INTO runs (id,project_id,repo_id,user_id,submitted_at,run_name,status,run_spec,deleted,last_processed_at,fleet_id,resubmission_attempt,priority,deployment_num,desired_replica_count) VALUES
 ('88888888888848888888888888888888','33333333333343338333333333333333','55555555555545558555555555555555','22222222222242228222222222222222','2025-11-04 12:00:00.000000','brave-panda-1','DONE','{"run_name": "brave-panda-1", "configuration": {"type": "task", "commands": ["echo hi"]}}',0,'2025-11-04 12:10:00.000000','66666666666646668666666666666666',0,0,0,1);
INSERT INTO jobs (id,project_id,run_id,run_name,job_num,job_name,submission_num,submitted_at,last_processed_at,status,job_spec_data,replica_num,instance_assigned,instance_id,exit_status,deployment_num,registered,fleet_id) VALUES
 ('99999999999949998999999999999991','33333333333343338333333333333333','88888888888848888888888888888888','brave-panda-1',0,'brave-panda-1-0-0',0,'2025-11-04 12:00:01.000000','2025-11-04 12:09:00.000000','DONE','{"job_num": 0, "job_name": "brave-panda-1-0-0"}',0,1,'77777777777747778777777777777777',0,0,0,'66666666666646668666666666666666'),
 ('99999999999949998999999999999992','33333333333343338333333333333333','88888888888848888888888888888888','brave-panda-1',1,'brave-panda-1-1-0',0,'2025-11-04 12:00:02.000000','2025-11-04 12:09:00.000000','FAILED','{"job_num": 1, "job_name": "brave-panda-1-1-0"}',0,1,NULL,1,0,0,NULL);
INSERT INTO job_metrics_points (id,job_id,timestamp_micro,cpu_usage_micro,memory_usage_bytes,memory_working_set_bytes,gpus_memory_usage_bytes,gpus_util_percent) VALUES
 ('aaaaaaaaaaaa4aaa8aaaaaaaaaaaaaa1','99999999999949998999999999999991',1762257600000000,1500000,104857600,94371840,'[1024]','[37]');
INSERT INTO secrets (id,project_id,created_at,updated_at,name,value) VALUES
 ('bbbbbbbbbbbb4bbb8bbbbbbbbbbbbbbb','33333333333343338333333333333333','2025-11-01 11:00:00.000000','2025-11-01 11:00:00.000000','HF_TOKEN','enc:identity:noname:c2VjcmV0');
INSERT INTO events (id,message,recorded_at,actor_user_id) VALUES
 ('cccccccccccc4ccc8cccccccccccccc1','Run submitted','2025-11-04 12:00:00.000000','22222222222242228222222222222222'),
 ('cccccccccccc4ccc8cccccccccccccc2','Job status changed PROVISIONING -> RUNNING','2025-11-04 12:01:00.000000',NULL),
 ('cccccccccccc4ccc8cccccccccccccc3','Instance created','2025-11-03 09:01:00.000000',NULL);
INSERT INTO event_targets (id,event_id,entity_project_id,entity_type,entity_id,entity_name) VALUES
 ('dddddddddddd4ddd8dddddddddddddd1','cccccccccccc4ccc8cccccccccccccc1','33333333333343338333333333333333','RUN','88888888888848888888888888888888','brave-panda-1'),
 ('dddddddddddd4ddd8dddddddddddddd2','cccccccccccc4ccc8cccccccccccccc2','33333333333343338333333333333333','JOB','99999999999949998999999999999991','brave-panda-1-0-0'),
 ('dddddddddddd4ddd8dddddddddddddd3','cccccccccccc4ccc8cccccccccccccc3','33333333333343338333333333333333','INSTANCE','77777777777747778777777777777777','gpu-fleet-0');
