-- tests/wild/projects/flask at 2b3c4d5e6f7a
PRAGMA foreign_keys=ON;
INSERT INTO role (id,name) VALUES (1,'admin'),(2,'guest');
INSERT INTO user (id,email,name,role_id) VALUES (1,'alice@example.com','Alice',1),(2,'bob@example.com',NULL,2);
INSERT INTO purchase (id,user_id,cents) VALUES (1,1,1250),(2,1,300),(3,2,99);
