-- Arize Phoenix at cd164e83824f (5.0's head)
PRAGMA foreign_keys=ON;
INSERT INTO projects (id,name,description) VALUES (7,'kitchen','Traces of the kitchen');
INSERT INTO traces (id,project_rowid,trace_id,start_time,end_time) VALUES
 (1,7,'t1','2024-10-01 10:00:00.000000','2024-10-01 10:00:02.000000'),(2,7,'t2','2024-10-02 10:00:00.000000','2024-10-02 10:00:05.000000');
INSERT INTO spans (id,trace_rowid,span_id,parent_id,name,span_kind,start_time,end_time,attributes,events,status_code,status_message,cumulative_error_count,cumulative_llm_token_count_prompt,cumulative_llm_token_count_completion,llm_token_count_prompt,llm_token_count_completion) VALUES
 (1,1,'s1',NULL,'ask','LLM','2024-10-01 10:00:00.000000','2024-10-01 10:00:02.000000','{"llm": {"model_name": "m", "token_count": {"prompt": 10, "completion": 5}}}','[]','OK','',0,10,5,10,5),
 (2,1,'s2','s1','look up','TOOL','2024-10-01 10:00:01.000000','2024-10-01 10:00:02.000000','{"input": {"value": "flour"}}','[]','ERROR','none left',1,0,0,NULL,NULL),
 (3,2,'s3',NULL,'ask','LLM','2024-10-02 10:00:00.000000','2024-10-02 10:00:05.000000','{"llm": {"model_name": "m"}}','[]','UNSET','',0,3,1,3,1);
INSERT INTO span_annotations (id,span_rowid,name,label,score,explanation,metadata,annotator_kind) VALUES
 (1,1,'correct','yes',1.0,'it was','{}','HUMAN'),(2,3,'correct','no',0.0,NULL,'{"by": "judge"}','LLM');
INSERT INTO datasets (id,name,description,metadata) VALUES (1,'questions','What guests ask','{}');
INSERT INTO dataset_versions (id,dataset_id,description,metadata) VALUES (1,1,'first','{}');
INSERT INTO dataset_examples (id,dataset_id,span_rowid) VALUES (1,1,1),(2,1,NULL);
INSERT INTO dataset_example_revisions (id,dataset_example_id,dataset_version_id,input,output,metadata,revision_kind) VALUES
 (1,1,1,'{"q": "flour?"}','{"a": "no"}','{}','CREATE'),(2,2,1,'{"q": "salt?"}','{"a": "yes"}','{}','CREATE');
INSERT INTO experiments (id,dataset_id,dataset_version_id,name,repetitions,metadata) VALUES (1,1,1,'baseline',1,'{}');
INSERT INTO experiment_runs (id,experiment_id,dataset_example_id,repetition_number,output,start_time,end_time) VALUES
 (1,1,1,1,'{"task_output": "no"}','2024-10-03 10:00:00.000000','2024-10-03 10:00:01.000000');
