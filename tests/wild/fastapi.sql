-- tests/wild/projects/fastapi at b2b2b2b2b2b2
INSERT INTO author (id,name) VALUES (1,'Alice'),(2,'Bob');
INSERT INTO note (id,author_id,title,body) VALUES (1,1,'Bread','flour, salt'),(2,1,'Cake',''),(3,2,'Beans','on toast');
