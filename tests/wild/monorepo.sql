-- tests/wild/projects/monorepo at d1d1d1d1d1d1
INSERT INTO task (id,title) VALUES (1,'knead'),(2,'bake');
