//! Unknown keys and names in a config file: the error names the one that was meant.

use snn_train::RunConfig;
use toml::{Table, Value};

const LEAST: &str = "epochs = 2\n[data]\ndataset = 'shapes10'\n";

fn error(text: &str) -> String {
    RunConfig::from_toml(&format!("{text}\n{LEAST}")).unwrap_err().to_string()
}

#[test]
fn the_nearest_key_or_name_is_named_at_every_depth() {
    for (text, found, nearest) in [
        ("bach = 3", "`bach`", "`batch`"),
        ("optimiser = { learning_rat = 1.0 }", "`learning_rat`", "`learning_rate`"),
        ("neuron = { leek = 1 }", "`leek`", "`leak`"),
        (
            "neuron = { surrogate = { kind = 'rectangel', width = 1 } }",
            "`rectangel`",
            "`rectangle`",
        ),
        ("neuron = { surrogate = { kind = 'rectangle', widht = 1 } }", "`widht`", "`width`"),
        ("network = { kind = 'small', with = 8 }", "`with`", "`width`"),
        ("network = { kind = 'smal' }", "`smal`", "`small`"),
        ("policy = 'outre'", "`outre`", "`outer`"),
        ("policy = { kind = 'union', policies = [{ kind = 'first_k', n = 3 }] }", "`n`", "`k`"),
        ("replacement = { kind = 'quant_relu', level = 3 }", "`level`", "`levels`"),
    ] {
        let error = error(text);
        assert!(
            error.contains(found) && error.ends_with(&format!("did you mean {nearest}?")),
            "{text}: {error}"
        );
    }
}

#[test]
fn keys_that_a_kind_does_not_have_are_errors_too() {
    let error = error("schedule = { kind = 'constant', warm_up = 0.1 }");
    assert!(
        error.contains("there is no key `schedule.warm_up`; did you mean `schedule.kind`?"),
        "{error}"
    );
}

#[test]
fn what_is_known_is_read() {
    RunConfig::from_toml(&format!("schedule = {{ kind = 'cosine', warm_up = 0.1 }}\n{LEAST}"))
        .unwrap();
    RunConfig::from_toml(&format!(
        "policy = {{ kind = 'ratio', share = 0.5, spread = 'late' }}\n{LEAST}"
    ))
    .unwrap();
}

/// Every table of a config with all features on, each time with one key of it wrong: a misspelt
/// name, or a value of another type.
#[test]
fn every_key_wrong_in_turn_is_an_error_that_names_it() {
    let sets = [
        "optimiser=adamw",
        "warm_up={ fraction = 0.1 }",
        "gradient_clip=1",
        "weight_average=0.999",
        "loss={ kind = 'tet', regulariser = 0.01 }",
        "data.cutout=8",
        "data.mixup=0.2",
        "batch_norm_reestimation.batches=50",
        "distillation.teacher=runs/relu",
        "policy={ kind = 'ratio', share = 0.5, spread = 'late' }",
    ];
    let config = RunConfig::with_overrides(LEAST, &sets.map(String::from)).unwrap();
    let whole: Table = toml::from_str(&config.to_toml().unwrap()).unwrap();
    let mut paths = Vec::new();
    collect(&whole, &mut Vec::new(), &mut paths);
    assert!(paths.len() > 40, "{paths:?}");
    for path in paths {
        let key = &path[path.len() - 1];
        let read = |change: &dyn Fn(&mut Table)| {
            let mut wrong = whole.clone();
            let (_, tables) = path.split_last().unwrap();
            change(
                tables.iter().fold(&mut wrong, |table, name| table[name].as_table_mut().unwrap()),
            );
            let text = toml::to_string(&wrong).unwrap();
            RunConfig::from_toml(&text)
                .err()
                .unwrap_or_else(|| panic!("{path:?} wrong is taken:\n{text}"))
                .to_string()
        };
        let misspelt = format!("{key}q");
        let error = read(&|table| {
            let value = table.remove(key).unwrap();
            table.insert(misspelt.clone(), value);
        });
        // A table without its kind is of the usual kind, or told that it needs one: the error names
        // the table.
        let is_named = error.contains(&misspelt)
            || (key == "kind" && path.iter().any(|name| error.contains(name.as_str())));
        assert!(is_named, "{path:?} misspelt: {error}");
        let other = |value: &Value| match value {
            Value::Boolean(_) => Value::String("?".into()),
            _ => Value::Boolean(true),
        };
        let error = read(&|table| table[key] = other(&table[key]));
        // TOML errors show the line: the key is in it, or the table that holds it.
        assert!(
            path.iter().any(|name| error.contains(name.as_str())),
            "{path:?} of another type: {error}"
        );
    }
}

fn collect(table: &Table, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    for (key, value) in table {
        path.push(key.clone());
        paths.push(path.clone());
        if let Value::Table(inner) = value {
            collect(inner, path, paths);
        }
        path.pop();
    }
}
