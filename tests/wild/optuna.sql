-- optuna at v2.6.0.a (2.10.1's head); 'Inf' is stored by optuna 2.x in a FLOAT column: 9e999 is SQLite's literal for it
PRAGMA foreign_keys=ON;
INSERT INTO studies (study_id,study_name) VALUES (1,'demo'),(2,'multi');
INSERT INTO version_info (version_info_id,schema_version,library_version) VALUES (1,12,'2.10.1');
INSERT INTO study_directions (study_direction_id,direction,study_id,objective) VALUES (1,'MINIMIZE',1,0),(2,'MINIMIZE',2,0),(3,'MAXIMIZE',2,1);
INSERT INTO study_user_attributes (study_user_attribute_id,study_id,"key",value_json) VALUES (1,1,'owner','"alice"');
INSERT INTO trials (trial_id,number,study_id,state,datetime_start,datetime_complete) VALUES
 (1,0,1,'COMPLETE','2022-01-01 00:00:00.000000','2022-01-01 00:01:00.000000'),
 (2,1,1,'COMPLETE','2022-01-01 00:01:00.000000','2022-01-01 00:02:00.000000'),
 (3,2,1,'RUNNING','2022-01-01 00:02:00.000000',NULL),
 (4,0,2,'COMPLETE','2022-01-02 00:00:00.000000','2022-01-02 00:01:00.000000');
INSERT INTO trial_params (param_id,trial_id,param_name,param_value,distribution_json) VALUES
 (1,1,'x',1.5,'{"name": "UniformDistribution", "attributes": {"low": -5.0, "high": 5.0}}'),
 (2,1,'lr',0.01,'{"name": "LogUniformDistribution", "attributes": {"low": 0.0001, "high": 0.1}}'),
 (3,1,'n',6.0,'{"name": "IntUniformDistribution", "attributes": {"low": 1, "high": 9, "step": 1}}'),
 (4,1,'c',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}'),
 (5,2,'x',-2.0,'{"name": "UniformDistribution", "attributes": {"low": -5.0, "high": 5.0}}');
INSERT INTO trial_values (trial_value_id,trial_id,objective,value) VALUES (1,1,0,2.25),(2,2,0,9e999),(3,4,0,0.5),(4,4,1,1.0);
INSERT INTO trial_intermediate_values (trial_intermediate_value_id,trial_id,step,intermediate_value) VALUES (1,1,0,3.5),(2,1,1,2.25),(3,2,0,9e999),(4,2,1,-9e999);
INSERT INTO trial_user_attributes (trial_user_attribute_id,trial_id,"key",value_json) VALUES (1,1,'k','0');
INSERT INTO trial_system_attributes (trial_system_attribute_id,trial_id,"key",value_json) VALUES (1,1,'sys','{"a": 1}');
