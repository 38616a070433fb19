//! Values of nested tables as lines that can be compared.

use serde_json::Value;
use std::collections::BTreeMap;

/// Every value with its path, as text; nodes of a graph go by their names.
pub(crate) fn flatten(value: &Value) -> BTreeMap<String, String> {
    fn walk(path: &str, value: &Value, values: &mut BTreeMap<String, String>) {
        let below =
            |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| walk(&below(key), value, values));
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (number, item) in items.iter().enumerate() {
                    let name = item.get("name").and_then(Value::as_str);
                    let key = name.map_or_else(|| number.to_string(), str::to_string);
                    walk(&below(&key), item, values);
                }
            }
            other => drop(values.insert(path.to_string(), other.to_string())),
        }
    }
    let mut values = BTreeMap::new();
    walk("", value, &mut values);
    values
}
