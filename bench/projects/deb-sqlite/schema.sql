CREATE TABLE item (name TEXT, number INTEGER);
INSERT INTO item VALUES ('nut', 20), ('bolt', 22);
