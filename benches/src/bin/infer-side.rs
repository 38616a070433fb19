//! Our side of `cargo xtask bench-peers infer`: the trained network, deployed or in libtorch.
//!
//! `infer-side deployed|events|f32|interpreter MODEL DATA IMAGES BATCH THREADS`: `events` is
//! deployed without dense integer products, `f32` off the grid; MODEL is the trained file, DATA the
//! folder of CIFAR-100. It classifies that many test images, says so in a line of JSON, and then
//! answers each line `batch SECONDS` or `single SECONDS` with the seconds of every batch, or of
//! every image, of a turn of about that length.

use anyhow::{Context, Result, bail, ensure};
use ndarray::{ArrayViewD, Axis, Slice};
use serde_json::{Value, json};
use snn_benches::turns::{answer, turn};
use snn_core::tch::{Device, Kind, set_num_threads};
use snn_core::{Mode, Network, Pixels};
use snn_data::{Dataset, DatasetName};
use snn_ir::{Code, Input, Model, Record};
use snn_reparam::GridOptions;
use snn_runtime::deploy::{Deployment, Kernels, Options, Session, Tuning};
use std::path::Path;
use std::sync::Arc;

/// Images alone before they are timed.
const WARM_UP: usize = 3;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [side, model, data, numbers @ ..] = arguments.as_slice() else {
        bail!("wants SIDE MODEL DATA IMAGES BATCH THREADS")
    };
    let numbers: Vec<usize> = numbers.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    let &[count, batch, threads] = numbers.as_slice() else {
        bail!("wants SIDE MODEL DATA IMAGES BATCH THREADS")
    };
    ensure!(batch > 0 && count > 0, "IMAGES and BATCH must be at least 1");
    let trained = Model::load(model)?;
    let test = Dataset::open_named(DatasetName::Cifar100, Some(Path::new(data)))?.test;
    ensure!(count <= test.len(), "expected {} images at most, found {count}", test.len());
    let test = test.select(&(0..count).collect::<Vec<_>>())?;
    let pixels = test.pixels();
    let images = pixels.view().into_dyn();
    match side.as_str() {
        "deployed" | "events" | "f32" => {
            let events = snn_reparam::convert(&trained, &Code::Unary.into())?;
            let (model, kernels) = match side.as_str() {
                "f32" => (events.model, Kernels::Auto),
                "events" => (
                    snn_reparam::to_grid(&events.model, GridOptions::default())?.model,
                    Kernels::Events,
                ),
                _ => (
                    snn_reparam::to_grid(&events.model, GridOptions::default())?.model,
                    Kernels::Auto,
                ),
            };
            serve(&mut Deployed::new(&model, kernels, threads)?, &images, test.labels(), batch)
        }
        "interpreter" => {
            set_num_threads(i32::try_from(threads)?);
            snn_core::keep_memory();
            serve(
                &mut Network::new(&trained, Device::Cpu, Kind::Float)?,
                &images,
                test.labels(),
                batch,
            )
        }
        other => bail!("no side `{other}`: deployed, events, f32 or interpreter"),
    }
}

/// Something that classifies images.
trait Classify {
    /// Classes of a batch.
    fn batch(&mut self, images: ArrayViewD<'_, u8>) -> Result<Vec<usize>>;
    /// Class of one image, `[1, …]`.
    fn single(&mut self, image: ArrayViewD<'_, u8>) -> Result<usize>;
    /// Further facts of the side: the share of active neurons of each site among them.
    fn describe(&mut self, images: ArrayViewD<'_, u8>) -> Result<Value>;
}

/// Converted: a batch is spread over threads image by image, one image pixel by pixel.
struct Deployed {
    deployment: Deployment,
    session: Session,
    pool: rayon::ThreadPool,
}

impl Deployed {
    fn new(model: &Model, kernels: Kernels, threads: usize) -> Result<Self> {
        // As `snn tune` does, and then all commands.
        let mut tuning = Tuning::default();
        tuning.measure(model, &Options::default())?;
        let tuning = Some(Arc::new(tuning));
        let options = Options { kernels, threads, tuning, ..Options::default() };
        let deployment = Deployment::new(model, &options)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        Ok(Self { session: deployment.session(), deployment, pool })
    }
}

impl Classify for Deployed {
    fn batch(&mut self, images: ArrayViewD<'_, u8>) -> Result<Vec<usize>> {
        Ok(self
            .pool
            .install(|| self.deployment.run(&Input::Static(images), Record::Logits))?
            .logits
            .argmax())
    }

    fn single(&mut self, image: ArrayViewD<'_, u8>) -> Result<usize> {
        Ok(self.session.run(image.as_slice().context("an image in one piece")?)?.argmax())
    }

    fn describe(&mut self, images: ArrayViewD<'_, u8>) -> Result<Value> {
        let sites = self.deployment.run(&Input::Static(images), Record::Sites)?.sites;
        let rates: Vec<f64> = sites
            .iter()
            .map(|site| site.output.active() as f64 / site.output.len() as f64)
            .collect();
        Ok(json!({ "rates": rates, "plan": self.deployment.summary() }))
    }
}

/// The trained network in libtorch, single precision.
impl Classify for Network {
    fn batch(&mut self, images: ArrayViewD<'_, u8>) -> Result<Vec<usize>> {
        let pixels = Pixels::new(&Input::Static(images), Device::Cpu)?;
        let classes = self.forward(&pixels, Mode::Evaluate)?.logits.f_argmax(1, false)?;
        Ok(Vec::<i64>::try_from(&classes)?
            .into_iter()
            .map(usize::try_from)
            .collect::<Result<_, _>>()?)
    }

    fn single(&mut self, image: ArrayViewD<'_, u8>) -> Result<usize> {
        self.batch(image)?.pop().context("one class")
    }

    fn describe(&mut self, images: ArrayViewD<'_, u8>) -> Result<Value> {
        let pixels = Pixels::new(&Input::Static(images), Device::Cpu)?;
        let (_, rates) = self.forward_with_rates(&pixels, Mode::Evaluate)?;
        Ok(json!({ "rates": rates.iter().map(|rate| rate.rate).collect::<Vec<_>>() }))
    }
}

/// Classifies all images once, which warms everything up, says so, and then measures as often as it
/// is asked to.
fn serve(
    side: &mut dyn Classify,
    images: &ArrayViewD<'_, u8>,
    labels: &[u16],
    batch: usize,
) -> Result<()> {
    let count = labels.len();
    let part = |begin: usize, length: usize| {
        images.slice_axis(Axis(0), Slice::from(begin..count.min(begin + length)))
    };
    let batches: Vec<_> = (0..count).step_by(batch).map(|begin| part(begin, batch)).collect();
    let singles: Vec<_> = (0..count).map(|index| part(index, 1)).collect();
    let mut classes = Vec::with_capacity(count);
    for batch in &batches {
        classes.extend(side.batch(batch.view())?);
    }
    for image in singles.iter().take(WARM_UP) {
        side.single(image.view())?;
    }
    let mut ready = side.describe(batches[0].view())?;
    ready["classes"] = json!(classes);
    ready["labels"] = json!(labels);
    let (mut next_batch, mut next_single) = (batches.iter().cycle(), singles.iter().cycle());
    answer(&ready, |what, budget| {
        let seconds = match what {
            "batch" => {
                turn(budget, || side.batch(next_batch.next().context("a batch")?.view()).map(drop))?
            }
            "single" => turn(budget, || {
                side.single(next_single.next().context("an image")?.view()).map(drop)
            })?,
            other => bail!("nothing to measure called `{other}`: batch or single"),
        };
        Ok(json!({ "seconds": seconds }))
    })
}
