//! The sentence on an accuracy that is no better than chance, which every command prints alike.

use crate::table::counted;
use snn_train::is_at_chance;

/// Says that an accuracy (0 to 1) on so many images is no better than `chance`, the accuracy of
/// always naming the most frequent class; `None` where it is better.
pub(crate) fn sentence(accuracy: f64, chance: f64, images: usize) -> Option<String> {
    is_at_chance(accuracy, chance, images).then(|| {
        format!(
            "This is chance level: always naming the most frequent class gives {:.2} %. The \
             network has learned nothing that {} can show.",
            100.0 * chance,
            counted(images, "image"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn three_standard_deviations_above_the_most_frequent_class_are_chance() {
        // √(0.1 · 0.9 / 2,000) is 0.67 points.
        let said = sentence(0.119, 0.1, 2_000).unwrap();
        assert!(said.contains("gives 10.00 %") && said.contains("2000 images"), "{said}");
        assert!(sentence(0.09, 0.1, 2_000).is_some(), "worse than chance");
        assert_eq!(sentence(0.121, 0.1, 2_000), None);
        // Fewer images show less.
        assert!(sentence(0.121, 0.1, 200).is_some());
        assert_eq!(sentence(0.0, 0.0, 0), None, "nothing was tested");
    }
}
