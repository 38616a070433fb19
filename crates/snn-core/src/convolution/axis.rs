//! Which inputs the outputs of a convolution read, along one axis.

use std::ops::Range;

/// A place of the kernel, and the input that stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tap {
    pub(super) tap: usize,
    pub(super) input: usize,
}

/// One axis of a convolution (eq. 2).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub(super) inputs: usize,
    pub(super) kernel: usize,
    /// For each output the taps that are inside, in order.
    pub(super) outputs: Vec<Vec<Tap>>,
}

impl Axis {
    /// Output o reads at tap t the input `o·stride + t·dilation − padding`, where there is one.
    pub(super) fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        [stride, dilation, padding]: [usize; 3],
    ) -> Self {
        let taps = |output: usize| {
            let input = move |tap: usize| (output * stride + tap * dilation).checked_sub(padding);
            (0..kernel)
                .filter_map(|tap| Some(Tap { tap, input: input(tap).filter(|&i| i < inputs)? }))
                .collect()
        };
        Self { inputs, kernel, outputs: (0..outputs).map(taps).collect() }
    }

    /// The axis with inputs and outputs exchanged: what the gradient of the input reads.
    pub(super) fn reversed(&self) -> Self {
        let mut outputs = vec![Vec::new(); self.inputs];
        for (output, taps) in self.outputs.iter().enumerate() {
            for &Tap { tap, input } in taps {
                outputs[input].push(Tap { tap, input: output });
            }
        }
        for taps in &mut outputs {
            taps.sort_by_key(|tap| tap.tap);
        }
        Self { inputs: self.outputs.len(), kernel: self.kernel, outputs }
    }

    /// The inputs that outputs from `first` to before `last` read, from the first to behind the
    /// last of them, and with them what later outputs read before that and earlier ones behind it:
    /// neither end of the windows of a walk ever goes back, so that an input is loaded once.
    pub(super) fn window(&self, first: usize, last: usize) -> Range<usize> {
        let inputs = |outputs: &'_ [Vec<Tap>]| -> Option<Range<usize>> {
            let inputs = || outputs.iter().flatten().map(|tap| tap.input);
            Some(inputs().min()?..inputs().max()? + 1)
        };
        let start = inputs(&self.outputs[first..]).map(|inputs| inputs.start);
        let end = inputs(&self.outputs[..last]).map_or(0, |inputs| inputs.end);
        start.unwrap_or(end).min(end)..end
    }

    /// The size of the largest [`window`](Self::window) of a walk in groups of so many outputs.
    pub(super) fn widest(&self, group: usize) -> usize {
        let count = self.outputs.len();
        let windows = (0..count).step_by(group.max(1));
        windows.map(|first| self.window(first, (first + group).min(count)).len()).max().unwrap_or(0)
    }

    /// Input and output of each place at which a tap is inside, in order.
    pub(super) fn places(&self, tap: usize) -> Vec<(usize, usize)> {
        let outputs = self.outputs.iter().enumerate();
        outputs
            .filter_map(|(output, taps)| Some((taps.iter().find(|t| t.tap == tap)?.input, output)))
            .collect()
    }

    /// Padding before the first input, if the three taps of each output read neighbours and outputs
    /// next to each other read inputs next to each other.
    pub(super) fn neighbours(&self) -> Option<usize> {
        let before = (0..3)
            .find(|&before| *self == Self::new(self.inputs, self.outputs.len(), 3, [1, 1, before]));
        before.filter(|_| self.kernel == 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_read_the_inputs_inside() {
        let axis = Axis::new(4, 2, 3, [2, 1, 1]);
        let taps = |list: &[(usize, usize)]| -> Vec<Tap> {
            list.iter().map(|&(tap, input)| Tap { tap, input }).collect()
        };
        assert_eq!(axis.outputs, [taps(&[(1, 0), (2, 1)]), taps(&[(0, 1), (1, 2), (2, 3)])]);
        assert_eq!(axis.window(1, 2), 1..4);
        assert_eq!((axis.widest(1), axis.widest(2)), (3, 4));
        assert_eq!(axis.places(1), [(0, 0), (2, 1)]);
        let back = axis.reversed();
        assert_eq!(back.outputs[1], taps(&[(0, 1), (2, 0)]));
        assert_eq!(back.reversed(), axis);
    }

    #[test]
    fn windows_of_a_walk_never_go_back() {
        for (inputs, kernel, place) in [
            (4, 3, [1, 2, 2]),
            (9, 3, [1, 2, 3]),
            (9, 3, [3, 1, 0]),
            (12, 4, [2, 3, 5]),
            (3, 1, [4, 1, 1]),
        ] {
            let [stride, dilation, padding] = place;
            let outputs = (inputs + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
            let forward = Axis::new(inputs, outputs, kernel, place);
            for axis in [forward.reversed(), forward] {
                let count = axis.outputs.len();
                for group in 1..=count {
                    let (mut start, mut end) = (0, 0);
                    for first in (0..count).step_by(group) {
                        let last = (first + group).min(count);
                        let window = axis.window(first, last);
                        assert!(start <= window.start && end <= window.end);
                        assert!(window.len() <= axis.widest(group));
                        let read = axis.outputs[first..last].iter().flatten();
                        assert!(read.map(|tap| tap.input).all(|input| window.contains(&input)));
                        (start, end) = (window.start, window.end);
                    }
                }
            }
        }
    }

    #[test]
    fn neighbours_are_found_where_they_are() {
        for padding in 0..3 {
            let axis = Axis::new(7, 7 + 2 * padding - 2, 3, [1, 1, padding]);
            assert_eq!(axis.neighbours(), Some(padding));
        }
        assert_eq!(Axis::new(8, 4, 3, [2, 1, 1]).neighbours(), None);
        assert_eq!(Axis::new(8, 8, 3, [1, 2, 2]).neighbours(), None);
        assert_eq!(Axis::new(8, 7, 2, [1, 1, 0]).neighbours(), None);
    }
}
