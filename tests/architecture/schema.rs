//! Every scenario file of the tree is one by the schema that `rehearse schema` prints; what is none is refused.

use std::path::Path;

use golem_scenarios::language::files_below;
use serde_json::{Value, json};
use workspace_tests::root;

fn schema() -> jsonschema::Validator {
    let text = std::fs::read_to_string(root().join("scenarios/schema.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_scenario_file_is_one_by_the_schema() {
    let schema = schema();
    let mut wrong = Vec::new();
    for folder in [
        "scenarios/catalog",
        "scenarios/tests/command/cases",
        "tests/own/scenarios",
    ] {
        let files = files_below(&root().join(folder)).expect("a folder");
        assert!(!files.is_empty(), "{folder}");
        for file in files {
            let scenario = yaml(&file);
            for error in schema.iter_errors(&scenario) {
                wrong.push(format!(
                    "{}: {}: {error}",
                    file.display(),
                    error.instance_path()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_no_scenario_is_none_by_the_schema() {
    let schema = schema();
    let tasks = json!({"name": "hello-tasks", "count": 1});
    let good = json!({"name": "x", "tasks": tasks});
    assert!(schema.is_valid(&good));
    for bad in [
        json!({"tasks": tasks}),
        json!({"name": "x", "task": tasks}),
        json!({"name": "x", "tasks": {"name": "y", "count": "many"}}),
        json!({"name": "x", "tasks": tasks, "expect": [{"agreement": 1}]}),
        json!({"name": "x", "tasks": tasks, "expect": [{"event": {"name": "y"}}]}),
        json!({"name": "x", "tasks": tasks, "timeline": [{"at": "1s", "do": "dye"}]}),
        json!({"name": "x", "tasks": tasks, "providers": [{"count": 3}]}),
        json!({"name": "x", "tasks": tasks, "time": {"mode": "unreal"}}),
    ] {
        assert!(!schema.is_valid(&bad), "{bad}");
    }
}
