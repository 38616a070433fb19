//! Results and counts depend neither on the batch nor on the threads.

use crate::draw::{Numbers, model, pixels};
use ndarray::{Axis, Slice};
use snn_ir::{Input, Record};
use snn_runtime::{Counting, Deployment, Options};

#[test]
fn batch_size_and_threads_change_nothing() {
    for seed in 0..20 {
        let numbers = if seed % 2 == 0 { Numbers::Integer } else { Numbers::Dyadic };
        let model = model(seed, 8, numbers);
        let images = pixels(&model, &[9], seed);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let runtime = Counting::new(&model).unwrap();
            let result =
                pool.install(|| runtime.run(&Input::Static(images.view()), Record::Sites)).unwrap();
            (result, runtime.counts())
        };
        let (whole, counts) = run(1);
        assert_eq!((whole.clone(), counts.clone()), run(2), "seed {seed}");
        let runtime = Counting::new(&model).unwrap();
        let logits = whole.logits.to_real(model.signature()).unwrap();
        for (start, end) in [(0, 1), (1, 4), (4, 9)] {
            let part = images.slice_axis(Axis(0), Slice::from(start..end));
            let part = runtime.logits_batch(part).unwrap();
            assert_eq!(part, logits.slice_axis(Axis(0), Slice::from(start..end)), "seed {seed}");
        }
        assert_eq!(runtime.counts(), counts, "seed {seed}");
        let mut session = runtime.session();
        for (image, class) in images.axis_iter(Axis(0)).zip(whole.logits.argmax()) {
            assert_eq!(session.run(image.view()).unwrap().argmax(), class, "seed {seed}");
            assert_eq!(runtime.classify(image).unwrap().class, class, "seed {seed}");
        }
    }
}

#[test]
fn images_at_once_change_nothing() {
    let mut found = [0, 0];
    for seed in 0..80 {
        let numbers = if seed % 2 == 0 { Numbers::Integer } else { Numbers::Dyadic };
        let model = model(seed, 8, numbers);
        // Sites of real numbers are not deployed.
        if Deployment::new(&model, &Options::default()).is_err() {
            continue;
        }
        let images = pixels(&model, &[5], seed);
        let run = |images_at_once| {
            let options = Options { images_at_once, ..Options::default() };
            let deployment = Deployment::new(&model, &options).unwrap();
            deployment.run(&Input::Static(images.view()), Record::Logits).unwrap().logits
        };
        let expected = run(None);
        for images_at_once in 0..6 {
            assert_eq!(run(Some(images_at_once)), expected, "seed {seed}, {images_at_once}");
        }
        found[usize::from(numbers == Numbers::Dyadic)] += 1;
    }
    assert!(found.iter().all(|count| *count > 5), "{found:?}");
    let options = Options { images_at_once: Some(usize::MAX), ..Options::default() };
    let error = Deployment::new(&model(1, 8, Numbers::Integer), &options).unwrap_err();
    assert!(error.to_string().contains("fewer images at once"), "{error}");
}

#[test]
fn threads_may_share_a_runtime() {
    let model = model(3, 8, Numbers::Integer);
    let runtime = Counting::new(&model).unwrap();
    let images = pixels(&model, &[4], 3);
    let expected = runtime.classify_batch(images.view()).unwrap();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| runtime.classify_batch(images.view()).unwrap()))
            .collect();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), expected);
        }
    });
    assert_eq!(runtime.counts().samples, 16);
}
