//! Opening by name.

use ndarray::Array4;
use snn_data::{Dataset, DatasetName, Images, Split, shapes::Shapes10};

#[test]
fn shapes_open_by_name_without_a_root() {
    let data = Dataset::open("shapes10", None).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.classes.len()), (8_000, 2_000, 10));
    assert_eq!(data.name, DatasetName::Shapes10);
    assert_eq!(data.train.pixels(), Shapes10::default().images(Split::Train).unwrap().pixels());
}

#[test]
fn names_are_the_same_everywhere() {
    for name in DatasetName::ALL {
        assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
        let text = format!("name = \"{name}\"");
        let table: std::collections::BTreeMap<String, DatasetName> = toml::from_str(&text).unwrap();
        assert_eq!(table["name"], name);
    }
}

#[test]
fn an_unknown_name_gets_the_list_and_the_nearest() {
    for (wrong, nearest) in [
        ("cifar100", "cifar-100"),
        ("CIFAR-10", "cifar-10"),
        ("shape10", "shapes10"),
        ("cifar-1000", "cifar-100"),
        ("fashion_mnist", "fashion-mnist"),
        ("mnst", "mnist"),
    ] {
        let message = Dataset::open(wrong, None).unwrap_err().to_string();
        assert!(
            message.contains("known: cifar-10, cifar-100, mnist, fashion-mnist, shapes10"),
            "{message}"
        );
        assert!(message.ends_with(&format!("did you mean `{nearest}`?")), "{message}");
    }
    assert!(Dataset::open(&"x".repeat(1 << 20), None).is_err());
    assert!(Dataset::open("", None).is_err());
}

#[test]
fn images_are_validated() {
    let zeros = |shape| Array4::<u8>::zeros(shape);
    assert!(Images::new(zeros((2, 1, 2, 2)), vec![0], 1).is_err(), "a label is missing");
    assert!(Images::new(zeros((1, 1, 2, 2)), vec![3], 3).is_err(), "no such class");
    assert!(Images::new(zeros((1, 1, 0, 2)), vec![0], 1).is_err(), "no rows");
    // Channels last in memory: the bytes of an image are planes all the same.
    let channels_last = Array4::from_shape_fn((1, 2, 2, 3), |(_, y, x, c)| {
        u8::try_from(100 * c + 10 * y + x).unwrap()
    });
    let images = Images::new(channels_last.permuted_axes([0, 3, 1, 2]), vec![0], 1).unwrap();
    assert_eq!(images.image(0).unwrap()[..5], [0, 1, 10, 11, 100]);
    assert!(images.image(1).is_none() && images.image(usize::MAX).is_none());
    assert!(images.select(&[1]).is_err());
}
