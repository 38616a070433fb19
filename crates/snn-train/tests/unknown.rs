//! Unknown keys and names in a config file: the error names the one that was meant.

use snn_train::RunConfig;

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
        ("neuron = { surrogate = { kind = 'rectangel', width = 1 } }", "`rectangel`", "`rectangle`"),
        ("neuron = { surrogate = { kind = 'rectangle', widht = 1 } }", "`widht`", "`width`"),
        ("network = { kind = 'small', with = 8 }", "`with`", "`width`"),
        ("network = { kind = 'smal' }", "`smal`", "`small`"),
        ("policy = 'outre'", "`outre`", "`outer`"),
        ("policy = { kind = 'union', policies = [{ kind = 'first_k', n = 3 }] }", "`n`", "`k`"),
        ("replacement = { kind = 'quant_relu', level = 3 }", "`level`", "`levels`"),
    ] {
        let error = error(text);
        assert!(error.contains(found) && error.ends_with(&format!("did you mean {nearest}?")), "{text}: {error}");
    }
}

#[test]
fn keys_that_a_kind_does_not_have_are_errors_too() {
    let error = error("schedule = { kind = 'constant', warm_up = 0.1 }");
    assert!(error.contains("there is no key `schedule.warm_up`; did you mean `schedule.kind`?"), "{error}");
}

#[test]
fn what_is_known_is_read() {
    RunConfig::from_toml(&format!("schedule = {{ kind = 'cosine', warm_up = 0.1 }}\n{LEAST}")).unwrap();
    RunConfig::from_toml(&format!("policy = {{ kind = 'ratio', share = 0.5, spread = 'late' }}\n{LEAST}")).unwrap();
}
