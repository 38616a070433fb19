//! The JSON and the table of `bench-peers infer`.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Measured, Pace, Program, Row, THREADS};
use crate::{footer, paired};

/// Ratios of our deployment to others.
struct Ratios {
    /// SpikingJelly as its users run it.
    default: f64,
    /// Its fastest setting here.
    best: f64,
    /// Our libtorch interpreter.
    interpreter: f64,
    /// The fastest dense twin of each precision, by its name.
    dense: Vec<(&'static str, f64)>,
}

impl Ratios {
    /// `gain` says how many times better than another row ours is: the median over the rounds.
    fn of(measured: &Measured, gain: impl Fn(&Row, &Row) -> f64) -> Result<Self> {
        let ours = measured.row(Program::Deployed).context("our deployment was not measured")?;
        // The least gain is over the best.
        let least = |wanted: &dyn Fn(Program) -> bool| {
            let gains =
                measured.rows.iter().filter(|row| wanted(row.program)).map(|row| gain(ours, row));
            gains.fold(f64::INFINITY, f64::min)
        };
        let dense = ["f32", "bf16", "int8"].map(|precision| {
            (
                precision,
                least(&|program| matches!(program, Program::Dense(_, found) if found == precision)),
            )
        });
        let ratios = Self {
            default: least(&|program| program == Program::SpikingJelly("default")),
            best: least(&|program| matches!(program, Program::SpikingJelly(_))),
            interpreter: least(&|program| program == Program::Interpreter),
            dense: dense.into_iter().filter(|(_, gain)| gain.is_finite()).collect(),
        };
        let complete =
            [ratios.default, ratios.best, ratios.interpreter].iter().all(|ratio| ratio.is_finite());
        ensure!(complete, "{}: a side was not measured", measured.work.name);
        Ok(ratios)
    }

    fn json(&self) -> Value {
        let mut ratios = json!({
            "vs_default": self.default, "vs_best": self.best, "vs_interpreter": self.interpreter,
        });
        for (precision, gain) in &self.dense {
            ratios[format!("vs_dense_{precision}")] = json!(gain);
        }
        ratios
    }

    fn words(&self) -> String {
        let mut words = vec![
            format!("{:.2} times SpikingJelly as used", self.default),
            format!("{:.2} times its best setting here", self.best),
            format!("{:.2} times our libtorch interpreter", self.interpreter),
        ];
        let dense = |(precision, gain): &(_, f64)| {
            format!("{gain:.2} times the faster dense twin in {precision}")
        };
        words.extend(self.dense.iter().map(dense));
        words.join(", ")
    }
}

fn throughput(measured: &Measured) -> Result<Ratios> {
    Ratios::of(measured, |ours, other| paired(&ours.images_per_second, &other.images_per_second))
}

fn latency(measured: &Measured) -> Result<Ratios> {
    Ratios::of(measured, |ours, other| paired(&other.milliseconds, &ours.milliseconds))
}

/// `ratios` and `latency_ratios` are those of the first work.
pub(crate) fn json(measured: &[Measured], machine: &Value, pace: Pace) -> Result<Value> {
    let main = measured.first().context("nothing was measured")?;
    let works = measured.iter().map(|one| {
        let rows: Vec<Value> = one
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "images_per_second": row.speed(),
                    "turns": row.images_per_second,
                    "milliseconds": row.latency(), "milliseconds_turns": row.milliseconds,
                    "agreement": one.agreement(row), "accuracy": one.accuracy(row),
                    "firing_rate": row.firing_rate(), "firing_rates": row.ready["rates"],
                    "plan": row.ready["plan"],
                })
            })
            .collect();
        Ok(json!({
            "name": one.work.name, "network": one.work.network, "source": one.source,
            "trained": one.trained, "ratios": throughput(one)?.json(),
            "latency_ratios": latency(one)?.json(), "rows": rows,
        }))
    });
    Ok(json!({
        "work": {
            "main": main.work.name, "images": pace.images, "batch": pace.batch,
            "threads": THREADS, "rounds": pace.rounds,
            "turn_seconds": { "batch": pace.batch_seconds, "single": pace.single_seconds },
        },
        "ratios": throughput(main)?.json(),
        "latency_ratios": latency(main)?.json(),
        "works": works.collect::<Result<Vec<_>>>()?,
        "machine": machine,
    }))
}

pub(crate) fn table(measured: &[Measured], machine: &Value, pace: Pace) -> String {
    let mut lines = vec![
        "# Inference beside SpikingJelly and dense networks\n".to_owned(),
        format!(
            "Trained networks, every site LIF (leak 1/2, threshold 1, hard reset), no regulariser \
             of activity, on test images of CIFAR-100; {THREADS} threads. The same weights are \
             in all sides; ours, deployed, has them on the int8 grid, and \
             multiplies densely where so much is active that it is \
             faster; *events only* never does, and *in f32* the weights are not on the grid. \
             Images a second in batches of {}, and milliseconds of one image alone, each the \
             median of the turns; sides \
             take turns, and all are given the same images. *Same class*: share of {} images to \
             which a side gives the class of the trained network (ours, libtorch). *Rate*: mean \
             of the sites' share of active neurons and macro-steps. The twins are dense, with \
             batch norm folded: every site a ReLU or a QuantRelu of four levels, one macro-step; \
             they \
             have the spiking network's weights, so their time means something and their classes \
             do not. In f32 and bf16 they run in torch (channels last, compiled), in int8 in ONNX \
             Runtime, which \
             takes either ReLU into the rounding before it.\n",
            pace.batch, pace.images
        ),
    ];
    for one in measured {
        let accuracy = one.trained["test_accuracy"].as_f64();
        let accuracy = accuracy.map_or_else(String::new, |share| {
            format!(", trained to {:.2} % of the test images", 100.0 * share)
        });
        lines.push(format!("## {}\n", one.work.name));
        let steps = one.trained["time_steps"]
            .as_u64()
            .map_or_else(String::new, |steps| format!(", T = {steps}"));
        lines.push(format!("{}{steps}{accuracy} ({}).\n", one.work.network, one.source));
        lines.push(
            "| side | images/s | turns | one image, ms | turns | same class | rate |".to_owned(),
        );
        lines.push("|---|--:|---|--:|---|--:|--:|".to_owned());
        lines.extend(one.rows.iter().map(|row| line(one, row)));
        for (what, ratios) in [("Batches", throughput(one)), ("One image", latency(one))] {
            lines.extend(ratios.ok().map(|ratios| {
                format!(
                    "\n{what}: ours, deployed, is {} (medians over {} rounds of the ratio within \
                     each).",
                    ratios.words(),
                    pace.rounds
                )
            }));
        }
        lines.push(String::new());
    }
    if machine["bf16"] != "yes" {
        lines.push(
            "This processor has no bf16 instructions: sides in bf16 were not measured.\n"
                .to_owned(),
        );
    }
    let runs = measured.iter().filter(|one| one.source != one.work.config_path());
    let runs: Vec<String> = runs.map(|one| format!(" --run {}=RUN", one.work.name)).collect();
    lines.push(footer(&format!("cargo xtask bench-peers infer{}", runs.concat()), machine));
    lines.join("\n")
}

fn line(measured: &Measured, row: &Row) -> String {
    let joined =
        |values: &[f64]| values.iter().map(|value| decimals(*value)).collect::<Vec<_>>().join(", ");
    // A twin's classes are those of another network.
    let same = match row.program {
        Program::Dense(..) => "–".to_owned(),
        _ => format!("{:.1} %", 100.0 * measured.agreement(row)),
    };
    let rate = row.firing_rate().map_or_else(|| "–".to_owned(), |rate| format!("{rate:.3}"));
    format!(
        "| {} | {} | {} | {} | {} | {same} | {rate} |",
        row.name,
        decimals(row.speed()),
        joined(&row.images_per_second),
        decimals(row.latency()),
        joined(&row.milliseconds),
    )
}

/// Three digits.
fn decimals(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        FULL, WORKS,
        tests::{measured, row},
    };
    use super::*;

    fn sides() -> Vec<Row> {
        [
            (Program::Deployed, 100.0),
            (Program::Interpreter, 50.0),
            (Program::SpikingJelly("default"), 10.0),
            (Program::SpikingJelly("channels_last+compile"), 25.0),
            (Program::Dense("relu", "f32"), 40.0),
            (Program::Dense("quant_relu", "f32"), 20.0),
            (Program::Dense("relu", "int8"), 200.0),
        ]
        .map(|(program, speed)| row(program, speed, &[1, 2, 3, 0]))
        .into()
    }

    #[test]
    fn ratios_are_of_the_main_work_and_of_the_best_of_each_kind() -> Result<()> {
        let mut slow = sides();
        slow[0].images_per_second = vec![10.0; 2];
        let works = [measured(WORKS[0], sides()), measured(WORKS[1], slow)];
        let report = json(&works, &json!({}), FULL)?;
        let expected = json!({
            "vs_default": 10.0, "vs_best": 4.0, "vs_interpreter": 2.0, "vs_dense_f32": 2.5,
            "vs_dense_int8": 0.5,
        });
        assert_eq!(report["ratios"], expected);
        assert_eq!(report["latency_ratios"], expected);
        assert_eq!(report["works"][1]["ratios"]["vs_default"], 1.0);
        let row = &report["works"][0]["rows"][0];
        assert_eq!(
            (&row["agreement"], &row["accuracy"], &row["firing_rate"]),
            (&json!(1.0), &json!(0.75), &json!(0.2))
        );
        Ok(())
    }

    #[test]
    fn a_side_that_is_missing_is_an_error() {
        for missing in 0..4 {
            let mut rows = sides();
            rows.remove(missing);
            if missing == 3 {
                continue; // Without it another setting is the best.
            }
            assert!(json(&[measured(WORKS[0], rows)], &json!({}), FULL).is_err(), "{missing}");
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_side_and_says_what_was_left_out() {
        let text = table(&[measured(WORKS[0], sides())], &json!({ "bf16": "no" }), FULL);
        assert!(
            text.contains(
                "| ours, deployed | 100 | 100, 100 | 10.0 | 10.0, 10.0 | 100.0 % | 0.200 |"
            ),
            "{text}"
        );
        assert!(
            text.contains("| ReLU twin, T = 1, int8 | 200 | 200, 200 | 5.00 | 5.00, 5.00 | – |"),
            "{text}"
        );
        assert!(
            text.contains(
                ", T = 4, trained to 12.50 % of the test images (configs/peers/resnet18.toml)."
            ) && text.contains("no bf16 instructions"),
            "{text}"
        );
    }
}
