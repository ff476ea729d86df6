-- jupyterhub at 0eee8c825d24 (4.1.6's head)
PRAGMA foreign_keys=ON;
INSERT INTO servers (id,proto,ip,port,base_url,cookie_name) VALUES (1,'http','127.0.0.1',50001,'/user/alice/','cookie');
INSERT INTO roles (id,name,description,scopes) VALUES (1,'user','Standard user privileges','["self"]'),(2,'admin','Elevated privileges','["admin-ui","admin:users"]');
INSERT INTO groups (id,name,properties) VALUES (1,'team','{"quota": 3}');
INSERT INTO users (id,name,admin,created,last_activity,cookie_id,state) VALUES (1,'alice',1,'2025-01-02 03:04:05.000000','2025-01-03 03:04:05.000000','c0ffee01','{}'),(2,'bob',0,'2025-01-02 03:04:06.000000',NULL,'c0ffee02','{}');
INSERT INTO user_role_map VALUES (1,1),(1,2),(2,1);
INSERT INTO user_group_map VALUES (1,1),(2,1);
INSERT INTO oauth_clients (id,identifier,description,secret,redirect_uri,allowed_scopes) VALUES (1,'jupyterhub','JupyterHub','','','[]'),(2,'jupyterhub-user-alice','Server at /user/alice/','s3cret','/user/alice/oauth_callback','["access:servers!server=alice/"]');
INSERT INTO spawners (id,user_id,server_id,state,name,started,last_activity,user_options,oauth_client_id) VALUES (1,1,1,'{"pid": 42}','','2025-01-03 03:00:00.000000','2025-01-03 03:04:05.000000','{}','jupyterhub-user-alice'),(2,2,NULL,'{}','lab',NULL,NULL,'{"profile": "small"}',NULL);
INSERT INTO services (id,name,admin,_server_id,pid,oauth_client_id) VALUES (1,'cull-idle',0,NULL,NULL,NULL);
INSERT INTO api_tokens (user_id,service_id,id,hashed,prefix,client_id,session_id,created,note,scopes) VALUES (1,NULL,1,'sha512:1:abcd:ef','abcd','jupyterhub',NULL,'2025-01-02 04:00:00.000000','cli','["self"]');
