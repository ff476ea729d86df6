-- Buildbot at 059 (3.5's head)
PRAGMA foreign_keys=ON;
INSERT INTO masters (id,name,name_hash,active,last_active) VALUES (1,'host:/master','aaaa',0,1660000000);
INSERT INTO workers (id,name,info,paused,graceful) VALUES (1,'worker-1','{"admin": ["alice"]}',0,0),(2,'worker-2','{}',1,0);
INSERT INTO builders (id,name,description,name_hash) VALUES (1,'runtests','Runs all tests','bbbb'),(2,'docs',NULL,'cccc');
INSERT INTO buildsets (id,reason,submitted_at,complete,complete_at,results) VALUES (1,'nightly',1660000100,1,1660000200,0),(2,'forced',1660001100,0,NULL,-1);
INSERT INTO buildrequests (id,buildsetid,builderid,priority,complete,results,submitted_at,complete_at,waited_for) VALUES (1,1,1,0,1,0,1660000100,1660000200,0);
INSERT INTO builds (id,number,builderid,buildrequestid,workerid,masterid,started_at,complete_at,state_string,results) VALUES (1,1,1,1,1,1,1660000110,1660000190,'finished',0);
