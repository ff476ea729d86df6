-- I hate money at 7a9b38559992 (6.1's head)
PRAGMA foreign_keys=ON;
INSERT INTO project (id,name,password,contact_email,logging_preference,default_currency) VALUES ('trip','Trip','scrypt:x','alice@example.com','RECORD_IP','EUR');
INSERT INTO person (id,project_id,name,activated,weight) VALUES (1,'trip','Alice',1,1.0),(2,'trip','Bob',1,2.0);
INSERT INTO bill (id,payer_id,amount,date,what,creation_date,converted_amount,original_currency,bill_type) VALUES
 (1,1,12.5,'2024-07-01','bread','2024-07-01',12.5,'EUR','EXPENSE'),(2,2,-3.0,'2024-07-02','deposit','2024-07-02',-3.0,'EUR','REIMBURSEMENT');
INSERT INTO billowers (bill_id,person_id) VALUES (1,1),(1,2),(2,1);
INSERT INTO "transaction" (id,issued_at,remote_addr) VALUES (1,'2024-07-01 10:00:00','192.0.2.1'),(2,'2024-07-02 10:00:00','192.0.2.2');
INSERT INTO project_version (id,name,password,contact_email,logging_preference,transaction_id,operation_type,default_currency) VALUES ('trip','Trip','scrypt:x','alice@example.com','RECORD_IP',1,0,'EUR');
