//! Property sets as they arrive: flat keys, nested objects, or something else altogether.

use golem_wire::market::Properties;
use serde_json::Value;

/// Joins the keys of nested objects with dots. Whatever is no object, and an object without
/// members, is a value; at the top it gets the empty key, as the daemon does it. Where two say the same key,
/// the last in the order of their names wins.
pub(crate) fn flatten(value: Value) -> Properties {
    let mut flat = Properties::new();
    // A stack of its own: the depth is the sender's choice.
    let mut open = vec![(String::new(), value)];
    while let Some((key, value)) = open.pop() {
        match value {
            Value::Object(members) if !members.is_empty() => {
                let mut members: Vec<_> = members.into_iter().collect();
                members.sort_by(|one, other| other.0.cmp(&one.0));
                open.extend(members.into_iter().map(|(member, value)| {
                    let key = if key.is_empty() {
                        member
                    } else {
                        format!("{key}.{member}")
                    };
                    (key, value)
                }));
            }
            value => {
                flat.insert(key, value);
            }
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_properties_become_dotted_keys_and_odd_ones_get_the_empty_key() {
        let nested = json!({"golem": {"node": {"id": {"name": "n"}}}, "a": null, "l": [1]});
        assert_eq!(
            Value::from(flatten(nested)),
            json!({"golem.node.id.name": "n", "a": null, "l": [1]})
        );
        let twice = json!({"x.y": {"z": 2}, "x": {"y.z": 3}});
        assert_eq!(Value::from(flatten(twice)), json!({"x.y.z": 2}));
        assert_eq!(Value::from(flatten(json!({}))), json!({"": {}}));
        assert_eq!(Value::from(flatten(json!([]))), json!({"": []}));
    }
}
