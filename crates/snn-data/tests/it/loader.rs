//! Batches are a function of (seed, epoch, index): whatever the threads, the start and the speed.

use ndarray::Array4;
use snn_data::{
    Augment, Batch, BatchTransform, Error, Images, LastBatch, LoaderConfig, Order, SampleMut,
    SampleRng, SampleShape, Samples, Source, Subset, Transform, split_holdout,
};
use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::sync::Arc;

const COUNT: usize = 53;

fn images() -> Images {
    let pixels = Array4::from_shape_fn((COUNT, 3, 8, 8), |(n, c, y, x)| {
        u8::try_from((n * 3 + c * 64 + y * 8 + x) % 251).unwrap()
    });
    let labels = (0..COUNT).map(|n| u16::try_from(n % 10).unwrap()).collect();
    Images::new(pixels, labels, 10).unwrap()
}

fn config(threads: usize) -> LoaderConfig {
    let augment = Augment { cutout: 3, crop_padding: 2, ..Augment::standard(&[1, 2, 3]) };
    LoaderConfig {
        batch_size: 8,
        seed: 42,
        threads,
        prefetch: 3,
        augment,
        ..LoaderConfig::default()
    }
}

fn collect(config: LoaderConfig, epoch: u64, first_batch: usize) -> Vec<Batch> {
    let loader = config.init(&images(), None).unwrap();
    loader.epoch_from(epoch, first_batch).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn batches_do_not_depend_on_the_number_of_threads() {
    let inline = collect(config(0), 3, 0);
    assert_eq!(inline.len(), 7);
    assert_eq!(inline[6].len(), 53 - 6 * 8);
    for threads in [1, 3, 16] {
        assert_eq!(collect(config(threads), 3, 0), inline, "{threads} threads");
    }
}

#[test]
fn an_epoch_can_start_in_the_middle() {
    let whole = collect(config(0), 5, 0);
    for threads in [0, 1, 3] {
        for first in 0..=7 {
            assert_eq!(
                collect(config(threads), 5, first),
                whole[first..],
                "{threads} threads from {first}"
            );
        }
    }
    let error = config(0).init(&images(), None).unwrap().epoch_from(5, 8).unwrap_err();
    assert!(matches!(error, Error::StartOutOfRange { epoch: 5, first_batch: 8, batches: 7 }));
}

#[test]
fn an_epoch_has_every_image_once_and_epochs_differ() {
    let indices = |epoch| {
        collect(config(1), epoch, 0).into_iter().flat_map(|batch| batch.indices).collect::<Vec<_>>()
    };
    let (first, second) = (indices(0), indices(1));
    assert_ne!(first, second);
    for order in [first, second] {
        assert_eq!(order.len(), COUNT);
        assert_eq!(order.into_iter().collect::<BTreeSet<_>>(), (0..COUNT).collect());
    }
}

#[test]
fn labels_and_pixels_belong_to_the_indices() {
    let plain = LoaderConfig { augment: Augment::default(), ..config(2) };
    for batch in collect(plain, 0, 0) {
        assert_eq!(images().batch(&batch.indices).unwrap(), batch);
    }
}

#[test]
fn augmentation_depends_on_the_sample_and_the_epoch_not_on_its_batch() {
    let other_sizes = LoaderConfig { batch_size: 5, order: Order::Sequential, ..config(0) };
    let find = |batches: Vec<Batch>| {
        batches.into_iter().find_map(|batch| {
            let place = batch.indices.iter().position(|&index| index == 17)?;
            Some(batch.samples.frames().index_axis(ndarray::Axis(1), place).to_owned())
        })
    };
    assert_eq!(find(collect(config(0), 2, 0)), find(collect(other_sizes.clone(), 2, 0)));
    assert_ne!(find(collect(other_sizes.clone(), 2, 0)), find(collect(other_sizes, 3, 0)));
}

#[test]
fn the_last_batch_can_be_dropped_and_a_part_selected() {
    let dropping = LoaderConfig { last_batch: LastBatch::Drop, ..config(1) };
    let batches = collect(dropping.clone(), 0, 0);
    assert_eq!(batches.len(), 6);
    assert!(batches.iter().all(|batch| batch.len() == 8));

    let parts = split_holdout(COUNT, 13, 9).unwrap();
    let loader = dropping.clone().init(&images(), Some(parts.train.clone())).unwrap();
    let seen: BTreeSet<_> =
        loader.epoch(0).unwrap().flat_map(|batch| batch.unwrap().indices).collect();
    assert_eq!(seen, parts.train.into_iter().collect());

    let error = LoaderConfig { batch_size: 54, ..dropping }.init(&images(), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "batch_size: expected at least one batch an epoch, found 53 of 54 samples a batch"
    );
}

#[test]
fn dropping_early_ends_the_threads() {
    // Every transform holds the counter: once all clones but ours are gone, no thread holds one any
    // more.
    let counter = Arc::new(Failing { at: None, panics: false });
    for taken in 0..3 {
        let transform: Arc<dyn Transform> = counter.clone();
        let loader = config(3).init(&images(), None).unwrap().with_transform(transform);
        let mut epoch = loader.epoch(0).unwrap();
        for _ in 0..taken {
            epoch.next().unwrap().unwrap();
        }
        assert_eq!(epoch.next_batch(), taken);
        drop((epoch, loader));
        assert_eq!(Arc::strong_count(&counter), 1);
    }
}

/// Fails at one image.
#[derive(Debug)]
struct Failing {
    at: Option<u8>,
    panics: bool,
}

impl Transform for Failing {
    fn apply(
        &self,
        sample: &mut SampleMut<'_>,
        _: &mut SampleRng,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        if Some(sample.view()[[0, 0, 0, 0]]) == self.at {
            assert!(!self.panics, "the transform broke");
            return Err("the transform refuses".into());
        }
        Ok(())
    }
}

#[test]
fn errors_and_panics_of_workers_come_out_of_the_iterator() {
    let sequential = |threads| LoaderConfig { order: Order::Sequential, ..config(threads) };
    for (panics, expected) in [
        (false, "batch 2, sample 20: the transform refuses"),
        (true, "batch 2, sample 20: the loader panicked: the transform broke"),
    ] {
        for threads in [0, 1, 3] {
            // The first byte of image 20 is 60.
            let transform = Arc::new(Failing { at: Some(60), panics });
            let loader =
                sequential(threads).init(&images(), None).unwrap().with_transform(transform);
            let results: Vec<_> = loader.epoch(0).unwrap().collect();
            assert_eq!(results.len(), 3, "two batches, the error, then the end");
            assert!(results[..2].iter().all(Result::is_ok));
            assert_eq!(results[2].as_ref().unwrap_err().to_string(), expected);
        }
    }
}

#[test]
fn settings_are_checked_and_are_plain_data() {
    for wrong in [
        LoaderConfig { batch_size: 0, ..config(0) },
        LoaderConfig { threads: 100_000, ..config(0) },
        LoaderConfig { prefetch: usize::MAX, ..config(0) },
        LoaderConfig { augment: Augment { fill: vec![0], ..config(0).augment }, ..config(0) },
    ] {
        assert!(matches!(wrong.init(&images(), None).unwrap_err(), Error::InvalidConfig { .. }));
    }
    let error = config(0).init(&images(), Some(vec![0, 53])).unwrap_err();
    assert_eq!(error.to_string(), "sample index: expected below 53, found 53");
    assert!(config(0).init(&images(), Some(Vec::new())).is_err(), "no image, no batch");
    // A batch larger than the set is the whole set, and allocates no more.
    assert_eq!(collect(LoaderConfig { batch_size: usize::MAX, ..config(1) }, 0, 0).len(), 1);
    let text = toml::to_string(&config(3)).unwrap();
    assert_eq!(toml::from_str::<LoaderConfig>(&text).unwrap(), config(3));
    assert!(toml::from_str::<LoaderConfig>("thread = 3").is_err(), "an unknown key is an error");
}

#[test]
fn ranks_share_an_epoch_and_each_can_start_in_the_middle() {
    let shard = |rank, epoch, first| {
        let loader = config(2).init(&images(), None).unwrap().with_shard(rank, 4).unwrap();
        assert_eq!((loader.len(), loader.batches_per_epoch()), (13, 2));
        loader.epoch_from(epoch, first).unwrap().collect::<Result<Vec<Batch>, _>>().unwrap()
    };
    let ranks: Vec<Vec<Batch>> = (0..4).map(|rank| shard(rank, 1, 0)).collect();
    let seen: BTreeSet<_> =
        ranks.iter().flatten().flat_map(|batch| batch.indices.clone()).collect();
    assert_eq!(seen.len(), 52, "no sample twice, one left over");
    let all = config(0).init(&images(), None).unwrap().order(1);
    assert_eq!(ranks[1][0].indices, [1, 5, 9, 13, 17, 21, 25, 29].map(|at| all[at]));
    assert_eq!(shard(2, 1, 1), ranks[2][1..]);
    let loader = config(0).init(&images(), None).unwrap();
    assert_eq!(
        loader.clone().with_shard(4, 4).unwrap_err().to_string(),
        "rank: expected below the number of ranks, 4, found 4"
    );
    assert!(loader.with_shard(0, 54).is_err(), "nothing for some");
}

#[test]
fn parts_of_all_ranks_are_the_batch() {
    let mixed = snn_data::Mix { mixup: 0.4, ..snn_data::Mix::NONE };
    for mix in [snn_data::Mix::NONE, mixed] {
        let loader = |source: &Arc<dyn Source>| {
            let augment = Augment { fill: vec![9; source.shape().channels()], ..config(2).augment };
            let config = LoaderConfig { mix, augment, ..config(2) };
            config.init_source(Arc::clone(source), None).unwrap()
        };
        for source in [Arc::new(images()) as Arc<dyn Source>, Arc::new(Ramps)] {
            let whole = loader(&source);
            for ranks in [2, 3] {
                let epochs = (0..ranks).map(|rank| {
                    let part = loader(&source).with_part(rank, ranks).unwrap();
                    assert_eq!(part.batches_per_epoch(), whole.batches_per_epoch());
                    part.epoch(1).unwrap().collect::<Result<Vec<Batch>, _>>().unwrap()
                });
                let epochs: Vec<Vec<Batch>> = epochs.collect();
                for (number, batch) in whole.epoch(1).unwrap().enumerate() {
                    let batch = batch.unwrap();
                    let parts = || epochs.iter().map(|epoch| &epoch[number]);
                    let indices: Vec<usize> =
                        parts().flat_map(|part| part.indices.clone()).collect();
                    assert_eq!(indices, batch.indices);
                    let labels: Vec<i64> =
                        parts().flat_map(|part| part.targets.labels.clone()).collect();
                    assert_eq!(labels, batch.targets.labels);
                    let frames: Vec<_> = parts().map(|part| part.samples.frames()).collect();
                    let together = ndarray::concatenate(ndarray::Axis(1), &frames).unwrap();
                    assert_eq!(together, batch.samples.frames());
                    assert!(parts().all(|part| !part.samples.bytes().is_empty()));
                    for part in parts() {
                        let share = |batch: &Batch| batch.targets.mixture.as_ref().map(|m| m.share);
                        assert_eq!(share(part), share(&batch));
                    }
                }
            }
        }
    }
    let loader = config(0).init(&images(), None).unwrap();
    let error = loader.clone().with_part(0, 9).unwrap_err().to_string();
    assert_eq!(error, "ranks: expected at most the batch, 8, found 9");
    assert!(loader.with_part(2, 2).is_err());
}

/// A source of frames: step t of sample i is full of 10·i + t.
#[derive(Debug)]
struct Ramps;

impl Source for Ramps {
    fn len(&self) -> usize {
        20
    }

    fn shape(&self) -> SampleShape {
        SampleShape::Frames([3, 2, 4, 5])
    }

    fn load(
        &self,
        index: usize,
        sample: &mut SampleMut<'_>,
        _: &mut SampleRng,
    ) -> snn_data::Result<u16> {
        for (time, mut frame) in sample.frames().outer_iter_mut().enumerate() {
            frame.fill(u8::try_from(10 * index + time).unwrap());
        }
        Ok(u16::try_from(index % 4).unwrap())
    }
}

#[test]
fn frames_are_batched_with_time_first() {
    let loader = LoaderConfig { batch_size: 6, threads: 2, ..LoaderConfig::default() }
        .init_source(Arc::new(Ramps), None)
        .unwrap();
    for batch in loader.epoch(0).unwrap() {
        let batch = batch.unwrap();
        let Samples::Frames(frames) = &batch.samples else { panic!("frames") };
        assert!(frames.is_standard_layout());
        assert_eq!(batch.samples.bytes().len(), batch.len() * 3 * 2 * 4 * 5);
        for ((time, at, ..), &value) in frames.indexed_iter() {
            assert_eq!(usize::from(value), 10 * batch.indices[at] + time);
        }
    }
}

/// Puts the number of each batch and a random number in front of its images as frames.
#[derive(Debug)]
struct TwoSteps;

impl BatchTransform for TwoSteps {
    fn apply(
        &self,
        batch: &mut Batch,
        rng: &mut SampleRng,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let images = batch.samples.images().ok_or("expected static images")?;
        let noise = images.mapv(|_| u8::try_from(rng.below(256)).unwrap());
        let frames = ndarray::stack(ndarray::Axis(0), &[images.view(), noise.view()])?;
        batch.samples = Samples::Frames(frames);
        Ok(())
    }
}

#[test]
fn work_on_batches_is_done_in_the_threads_and_is_a_function_of_the_batch() {
    let collect = |threads, first| {
        let loader = config(threads).init(&images(), None).unwrap();
        let loader = loader.with_batch_transform(Arc::new(TwoSteps));
        loader.epoch_from(1, first).unwrap().collect::<Result<Vec<Batch>, _>>().unwrap()
    };
    let inline = collect(0, 0);
    assert_eq!(inline[0].samples.shape(), SampleShape::Frames([2, 3, 8, 8]));
    assert_eq!(collect(3, 0), inline);
    assert_eq!(collect(2, 4), inline[4..]);
    let loader = config(1).init_source(Arc::new(Ramps), None);
    assert!(loader.is_err(), "three fill values do not fit two channels");
    let frames = LoaderConfig { augment: Augment::default(), ..config(1) };
    let loader = frames.init_source(Arc::new(Ramps), None).unwrap();
    let loader = loader.with_batch_transform(Arc::new(TwoSteps));
    let error = loader.epoch(0).unwrap().next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "batch 0: expected static images");
}

#[test]
fn a_subset_has_the_batches_of_a_loader_over_its_indices() {
    let indices = split_holdout(COUNT, 13, 9).unwrap().train;
    let subset = Subset::new(Arc::new(images()), indices.clone()).unwrap();
    let whole = config(2).init(&images(), Some(indices.clone())).unwrap();
    let part = config(2).init_source(Arc::new(subset), None).unwrap();
    for (whole, part) in whole.epoch(2).unwrap().zip(part.epoch(2).unwrap()) {
        let (whole, part) = (whole.unwrap(), part.unwrap());
        assert_eq!((&whole.samples, &whole.targets), (&part.samples, &part.targets));
        assert_eq!(whole.indices, part.indices.iter().map(|&at| indices[at]).collect::<Vec<_>>());
    }
    let error = Subset::new(Arc::new(images()), vec![COUNT]).unwrap_err().to_string();
    assert_eq!(error, "sample index: expected below 53, found 53");
}

/// A source that cannot give one sample.
#[derive(Debug)]
struct Hole(usize);

impl Source for Hole {
    fn len(&self) -> usize {
        20
    }

    fn shape(&self) -> SampleShape {
        SampleShape::Static([1, 1, 1])
    }

    fn load(
        &self,
        index: usize,
        _: &mut SampleMut<'_>,
        _: &mut SampleRng,
    ) -> snn_data::Result<u16> {
        if index == self.0 {
            return Err(Error::IndexOutOfRange { index: 1, count: 1 });
        }
        Ok(0)
    }
}

/// Nobody knows the place that a sample has in a part that was held out.
#[test]
fn errors_of_a_part_name_the_sample_by_its_index_in_the_whole_set() {
    let error = |source: Arc<dyn Source>, transform: Option<Failing>| {
        let part = Arc::new(Subset::new(source, vec![7, 17, 2]).unwrap());
        let augment = Augment::default();
        let loader = LoaderConfig { order: Order::Sequential, augment, ..config(1) };
        let mut loader = loader.init_source(part, None).unwrap();
        if let Some(transform) = transform {
            loader = loader.with_transform(Arc::new(transform));
        }
        loader.epoch(0).unwrap().next().unwrap().unwrap_err().to_string()
    };
    let failing = |panics| Some(Failing { at: Some(51), panics }); // the first byte of image 17
    assert_eq!(
        error(Arc::new(images()), failing(false)),
        "batch 0, sample 17: the transform refuses"
    );
    assert_eq!(
        error(Arc::new(images()), failing(true)),
        "batch 0, sample 17: the loader panicked: the transform broke"
    );
    assert_eq!(
        error(Arc::new(Hole(17)), None),
        "batch 0, sample 17: sample index: expected below 1, found 1"
    );
}
