//! One network, or several replicas of it, each of which computes its part of every batch in a
//! thread or a process of its own.
//!
//! Replicas have the same parameters in memory. Batch norm reads the statistics of the whole batch
//! ([`snn_core::Ranks`]), each replica has the gradients of its part of the loss, and these are
//! summed in the order of the replicas: the result is that of one network but for the rounding of
//! sums, and the same whatever else the machine does.

use crate::error::{Error, Result};
use crate::loss::Targets;
use crate::loss::activity::ActivityPenalty;
use crate::loss::teacher::{Teacher, distilled};
use crate::pending::Passed;
use crate::recipe::Recipe;
use crate::trainable::Trainable;
use snn_core::{
    DropoutKey, FiringRate, Mode, Pixels, ProcessRank, Ranks, SiteActivity, ThreadRank, arrays,
    lists,
};
use snn_data::{Source, Subset, part_of_batch};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use tch::{Device, Kind, Tensor};

/// A replica with all that it needs to learn from a part of a batch.
pub(crate) struct Learner {
    pub(crate) network: Box<dyn Trainable + Send>,
    pub(crate) recipe: Recipe,
    pub(crate) teacher: Option<Teacher>,
    pub(crate) penalty: Option<ActivityPenalty>,
    /// The replicas that it is one of, if there are several.
    pub(crate) ranks: Option<Arc<dyn Ranks>>,
}

/// A part of a batch.
#[derive(Debug)]
struct Part {
    pixels: Pixels,
    targets: Targets,
    key: DropoutKey,
    /// The part of the samples that it has.
    share: f64,
}

impl Learner {
    /// Computes the loss of a part and its gradients.
    fn pass(&mut self, part: &Part) -> Result<Passed> {
        let Self { network, recipe, teacher, penalty, ranks } = self;
        let Part { pixels, targets, key, share } = part;
        network.begin(*key);
        let (scores, activity) = match penalty {
            Some(penalty) => {
                let (scores, mut sites) = network.forward_with_activity(pixels)?;
                if let Some(ranks) = ranks {
                    of_whole_batch(&mut sites, *share, ranks.as_ref())?;
                }
                (scores, Some(penalty.of(&sites)?))
            }
            None => (network.forward(pixels)?, None),
        };
        let mut loss = recipe.loss.of(&scores, targets)?;
        loss = distilled(recipe, teacher.as_ref(), loss, &scores, targets, pixels)?;
        if let Some(more) = activity {
            loss = loss.f_add(&more)?;
        }
        let right = scores.logits.f_argmax(-1, false)?.f_eq_tensor(targets.dominant())?;
        let correct = right.f_sum(Kind::Int64)?;
        if ranks.is_none() && network.device() != Device::Cpu {
            loss.f_backward()?;
            return Ok(Passed::OnDevice([loss.f_detach()?, correct]));
        }
        let mut value = loss.f_double_value(&[])?;
        if let Some(ranks) = ranks {
            loss = loss.f_mul_scalar(*share)?;
            value *= share;
            ranks.sum("the loss", std::slice::from_mut(&mut value))?;
        }
        if value.is_finite() {
            loss.f_backward()?;
        }
        let correct = usize::try_from(correct.f_int64_value(&[])?).unwrap_or_default();
        Ok(Passed::Read { loss: value, correct })
    }
}

/// Adds to the activity of a part what makes it that of the whole batch, and has no gradient: so
/// the gradients of all parts together are those of what the whole batch is charged.
fn of_whole_batch(sites: &mut [SiteActivity], share: f64, ranks: &dyn Ranks) -> Result<()> {
    let own = sites.iter().map(|site| Ok(site.activity.f_double_value(&[])?));
    let own = own.collect::<Result<Vec<f64>>>()?;
    let mut whole: Vec<f64> = own.iter().map(|activity| share * activity).collect();
    ranks.sum("the activity of sites", &mut whole)?;
    for ((site, whole), own) in sites.iter_mut().zip(&whole).zip(&own) {
        site.activity = site.activity.f_add_scalar(whole - own)?;
    }
    Ok(())
}

/// The class of each sample: that of its largest score.
pub(crate) fn classes(logits: &Tensor) -> Result<Vec<usize>> {
    let classes = arrays::array::<i64>(&logits.f_argmax(-1, false)?)?;
    Ok(classes.iter().map(|&class| usize::try_from(class).unwrap_or(usize::MAX)).collect())
}

/// Work of a replica's thread.
enum Work {
    /// A pass over a part, with whether each parameter learns.
    Pass(Part, Vec<bool>),
    /// A pass for the statistics of batch norm, with the number of the batch, and what masks are
    /// drawn from.
    Statistics(Pixels, u32, DropoutKey),
    /// An evaluation of a part.
    Evaluate(Pixels, Mode),
}

/// What came of it.
enum Done {
    /// With the gradient of each parameter.
    Passed(Passed, Vec<Option<Tensor>>),
    Statistics,
    Evaluated(Tensor, Vec<FiringRate>),
}

/// The thread of a replica.
struct Worker {
    work: Sender<Work>,
    done: Receiver<Result<Done>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(mut learner: Learner) -> Result<Self> {
        let (work, asked) = channel();
        let (answers, done) = channel();
        let run = move || {
            while let Ok(work) = asked.recv() {
                let result = catch_unwind(AssertUnwindSafe(|| learner.work(work)));
                let result = result.unwrap_or_else(|_| Err(failed("its thread panicked")));
                if let (Err(error), Some(ranks)) = (&result, &learner.ranks) {
                    ranks.fail(&error.to_string());
                }
                if answers.send(result).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("replica".into()).spawn(run);
        let thread = thread.map_err(|error| failed(&format!("no thread: {error}")))?;
        Ok(Self { work, done, thread: Some(thread) })
    }

    fn ask(&self, work: Work) -> Result<()> {
        self.work.send(work).map_err(|_| failed("its thread has ended"))
    }

    fn answer(&self) -> Result<Done> {
        self.done.recv().unwrap_or_else(|_| Err(failed("its thread has ended")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without work to wait for the thread ends.
        self.work = channel().0;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn failed(why: &str) -> Error {
    snn_core::Error::Replica(why.into()).into()
}

impl Learner {
    fn work(&mut self, work: Work) -> Result<Done> {
        match work {
            Work::Pass(part, learns) => {
                let parameters = self.network.parameters().iter().map(|p| &p.tensor);
                for (tensor, learns) in parameters.clone().zip(learns) {
                    if tensor.requires_grad() != learns {
                        let _same_tensor = tensor.shallow_clone().f_set_requires_grad(learns)?;
                    }
                }
                lists::clear_gradients(&parameters.collect::<Vec<_>>())?;
                let passed = self.pass(&part)?;
                let gradient = |parameter: &snn_core::Parameter| {
                    let gradient = parameter.tensor.f_grad()?;
                    Ok(gradient.defined().then_some(gradient))
                };
                let gradients = self.network.parameters().iter().map(gradient);
                Ok(Done::Passed(passed, gradients.collect::<Result<_>>()?))
            }
            Work::Statistics(pixels, number, key) => {
                self.network.begin(key);
                self.network.statistics_pass(&pixels, number)?;
                Ok(Done::Statistics)
            }
            Work::Evaluate(pixels, mode) => {
                let (logits, rates) = self.network.evaluate(&pixels, mode)?;
                Ok(Done::Evaluated(logits, rates))
            }
        }
    }
}

/// A network that learns: the first of its replicas, which holds its state, and the others.
pub(crate) struct Replicas {
    first: Learner,
    /// Those in threads of this process.
    others: Vec<Worker>,
    /// This process, where each replica has one.
    processes: Option<Arc<ProcessRank>>,
}

impl Drop for Replicas {
    fn drop(&mut self) {
        // A replica that waits for another one would wait for ever, and this for it.
        if let Some(ranks) = &self.first.ranks {
            ranks.fail("the training has ended");
        }
    }
}

impl Replicas {
    /// One network, or as many replicas as the recipe says; `another` makes a learner of the same
    /// model.
    pub(crate) fn new(
        mut first: Learner,
        processes: Option<&Arc<ProcessRank>>,
        another: impl Fn() -> Result<Learner>,
    ) -> Result<Self> {
        let count = first.recipe.replicas.max(1);
        if let Some(process) = processes {
            first.join(Some(Arc::clone(process) as Arc<_>));
        }
        if count == 1 || processes.is_some() {
            return Ok(Self { first, others: Vec::new(), processes: processes.cloned() });
        }
        let mut ranks = ThreadRank::group(count).into_iter().map(|rank| Arc::new(rank) as Arc<_>);
        first.join(ranks.next());
        let mut others = Vec::with_capacity(count - 1);
        for rank in ranks {
            let mut learner = another()?;
            learner.network.share_parameters(first.network.parameters())?;
            learner.join(Some(rank));
            others.push(Worker::start(learner)?);
        }
        Ok(Self { first, others, processes: None })
    }

    /// The network.
    pub(crate) fn network(&self) -> &dyn Trainable {
        self.first.network.as_ref()
    }

    /// The network.
    pub(crate) fn network_mut(&mut self) -> &mut dyn Trainable {
        self.first.network.as_mut()
    }

    /// The first of the samples of a batch that this process makes, and the number of all.
    fn place_in_batch(&self, own: usize) -> (usize, usize) {
        match &self.processes {
            None => (0, own),
            Some(process) => {
                let batch = self.first.recipe.batch;
                (part_of_batch(batch, process.rank(), process.count()).start, batch)
            }
        }
    }

    /// The samples of a source that this process evaluates: all, or every so manyth.
    pub(crate) fn own_samples(&self, source: &Arc<dyn Source>) -> Result<Arc<dyn Source>> {
        let Some(process) = &self.processes else { return Ok(Arc::clone(source)) };
        let own = (process.rank()..source.len()).step_by(process.count()).collect();
        Ok(Arc::new(Subset::new(Arc::clone(source), own)?))
    }

    /// What numbers of this process are of all processes together.
    pub(crate) fn over_processes(&self, what: &str, numbers: &mut [f64]) -> Result<()> {
        match &self.processes {
            Some(process) => Ok(process.sum(what, numbers)?),
            None => Ok(()),
        }
    }

    /// Firing rates on the samples of this process, to the mean over those of all.
    pub(crate) fn rates_of_all(&self, mut rates: Vec<FiringRate>) -> Result<Vec<FiringRate>> {
        let mut numbers: Vec<f64> = rates.iter().map(|rate| rate.rate).collect();
        self.over_processes("firing rates", &mut numbers)?;
        let count = self.processes.as_ref().map_or(1, |process| process.count());
        for (rate, sum) in rates.iter_mut().zip(numbers) {
            rate.rate = sum / count as f64;
        }
        Ok(rates)
    }

    /// `true` if any process is asked to stop.
    pub(crate) fn any_stops(&self, stops: bool) -> Result<bool> {
        let mut asked = f64::from(u8::from(stops));
        self.over_processes("whether to stop", std::slice::from_mut(&mut asked))?;
        Ok(asked > 0.0)
    }

    /// Computes the loss of a batch and its gradients, which the parameters of the network then
    /// have. With several processes, pixels and targets are those of the part of this one.
    pub(crate) fn pass(
        &mut self,
        pixels: Pixels,
        targets: Targets,
        key: DropoutKey,
    ) -> Result<Passed> {
        if self.others.is_empty() {
            let samples = pixels.samples();
            let (first, whole) = self.place_in_batch(samples);
            let key = DropoutKey { first_sample: first as u64, ..key };
            let share = samples as f64 / whole as f64;
            let passed = self.first.pass(&Part { pixels, targets, key, share })?;
            if let Some(process) = self.processes.as_ref().filter(|_| !passed.has_diverged()) {
                process.sum_tensors("gradients", &self.gradients()?)?;
            }
            return Ok(passed);
        }
        let learns = |p: &snn_core::Parameter| p.tensor.requires_grad();
        let learns: Vec<bool> = self.network().parameters().iter().map(learns).collect();
        let mut parts = Vec::new();
        let whole = pixels.samples();
        for (first, count) in parts_of(whole, self.others.len() + 1) {
            parts.push(Part {
                pixels: pixels.part(first, count)?,
                targets: targets.part(first, count)?,
                key: DropoutKey { first_sample: first as u64, ..key },
                share: count as f64 / whole as f64,
            });
        }
        let mut parts = parts.into_iter();
        let own = parts.next().ok_or_else(|| failed("a batch without samples"))?;
        for (worker, part) in self.others.iter().zip(parts) {
            worker.ask(Work::Pass(part, learns.clone()))?;
        }
        let (mut passed, others) = self.together(|first| first.pass(&own))?;
        for done in others {
            let Done::Passed(more, gradients) = done else {
                return Err(failed("another answer than asked for"));
            };
            let diverged = passed.has_diverged();
            if let (Passed::Read { correct, .. }, Passed::Read { correct: more, .. }) =
                (&mut passed, more)
            {
                *correct += more;
            }
            if !diverged {
                self.add_gradients(&gradients)?;
            }
        }
        Ok(passed)
    }

    /// The gradients of all parameters that have one.
    fn gradients(&self) -> Result<Vec<Tensor>> {
        let gradients = self.network().parameters().iter().map(|p| p.tensor.f_grad());
        let gradients = gradients.collect::<std::result::Result<Vec<_>, _>>();
        Ok(gradients?.into_iter().filter(Tensor::defined).collect())
    }

    fn add_gradients(&self, gradients: &[Option<Tensor>]) -> Result<()> {
        tch::no_grad(|| {
            for (parameter, more) in self.network().parameters().iter().zip(gradients) {
                let mut sum = parameter.tensor.f_grad()?;
                match (sum.defined(), more) {
                    (true, Some(more)) => {
                        let _same_tensor = sum.f_add_(more)?;
                    }
                    (false, None) => {}
                    (_, _) => return Err(failed("only some parts have a gradient for a weight")),
                }
            }
            Ok(())
        })
    }

    /// Class scores of a batch without gradients, and the firing rate of each site.
    pub(crate) fn evaluate(
        &self,
        pixels: &Pixels,
        mode: Mode,
    ) -> Result<(Tensor, Vec<FiringRate>)> {
        let whole = pixels.samples();
        let count = (self.others.len() + 1).min(whole.max(1));
        if count == 1 {
            return self.network().evaluate(pixels, mode);
        }
        let parts = parts_of(whole, count);
        for (worker, &(first, count)) in self.others.iter().zip(&parts[1..]) {
            worker.ask(Work::Evaluate(pixels.part(first, count)?, mode))?;
        }
        let asked = &self.others[..count - 1];
        let own = self.network().evaluate(&pixels.part(0, parts[0].1)?, mode);
        let others: Vec<Result<Done>> = asked.iter().map(Worker::answer).collect();
        let (logits, mut rates) = own?;
        let share = |part: usize| parts[part].1 as f64 / whole as f64;
        for rate in &mut rates {
            rate.rate *= share(0);
        }
        let mut all = vec![logits];
        for (part, done) in (1..).zip(others) {
            let Done::Evaluated(logits, more) = done? else {
                return Err(failed("another answer than asked for"));
            };
            all.push(logits);
            for (rate, more) in rates.iter_mut().zip(more) {
                rate.rate += share(part) * more.rate;
            }
        }
        Ok((Tensor::f_cat(&all, 0)?, rates))
    }

    /// Measures the running statistics of batch norm again over these batches.
    pub(crate) fn reestimate(
        &mut self,
        key: DropoutKey,
        batches: &mut dyn Iterator<Item = Result<Pixels>>,
    ) -> Result<()> {
        let own = match &self.processes {
            Some(_) => self.place_in_batch(0).0,
            None => 0,
        };
        self.first.network.begin(DropoutKey { first_sample: own as u64, ..key });
        if self.others.is_empty() {
            return self.first.network.reestimate(batches);
        }
        let others = &self.others;
        let mut number = 0;
        let mut own_parts = batches.map(|pixels| {
            let pixels = pixels?;
            let parts = parts_of(pixels.samples(), others.len() + 1);
            for (worker, &(first, count)) in others.iter().zip(&parts[1..]) {
                let key = DropoutKey { first_sample: first as u64, ..key };
                worker.ask(Work::Statistics(pixels.part(first, count)?, number, key))?;
            }
            number += 1;
            pixels.part(0, parts[0].1).map_err(Error::from)
        });
        let own = self.first.network.reestimate(&mut own_parts);
        drop(own_parts);
        if let (Err(error), Some(ranks)) = (&own, &self.first.ranks) {
            ranks.fail(&error.to_string());
        }
        let mut results = vec![own];
        for _ in 0..number {
            results.extend(self.others.iter().map(|worker| worker.answer().map(drop)));
        }
        first_cause(results).map(drop)
    }

    /// What the first replica does while the others do what they were asked, and their answers.
    fn together<V>(
        &mut self,
        own: impl FnOnce(&mut Learner) -> Result<V>,
    ) -> Result<(V, Vec<Done>)> {
        let own = own(&mut self.first);
        if let (Err(error), Some(ranks)) = (&own, &self.first.ranks) {
            ranks.fail(&error.to_string());
        }
        let others: Vec<Result<Done>> = self.others.iter().map(Worker::answer).collect();
        match own {
            Ok(own) => Ok((own, first_cause(others)?)),
            Err(error) => {
                // Where this one only waited for another that failed, that one's error says why.
                let own: Vec<Result<Done>> = vec![Err(error)];
                Err(match first_cause(own.into_iter().chain(others).collect()) {
                    Err(error) => error,
                    Ok(_) => failed("it failed"),
                })
            }
        }
    }
}

/// All results, or the first error that is not of a wait for another replica.
fn first_cause<V>(results: Vec<Result<V>>) -> Result<Vec<V>> {
    let (mut values, mut failure) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => {
                let waited = |e: &Error| matches!(e, Error::Core(snn_core::Error::Replica(_)));
                if failure.as_ref().is_none_or(waited) && !(failure.is_some() && waited(&error)) {
                    failure = Some(error);
                }
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(values),
    }
}

impl Learner {
    fn join(&mut self, ranks: Option<Arc<dyn Ranks>>) {
        if let Some(ranks) = ranks {
            self.network.set_ranks(Arc::clone(&ranks));
            self.ranks = Some(ranks);
        }
    }
}

/// The first sample and the number of samples of each part of a batch.
fn parts_of(samples: usize, count: usize) -> Vec<(usize, usize)> {
    let parts = (0..count).map(|part| part_of_batch(samples, part, count));
    parts.map(|part| (part.start, part.len())).collect()
}
