//! Which inputs the outputs of a convolution read, along one axis.

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
    /// Output o reads at tap t the input `o·stride + t·dilation − before`, where there is one.
    pub(super) fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        [stride, dilation, before]: [usize; 3],
    ) -> Self {
        let taps = |output: usize| {
            let input = move |tap: usize| (output * stride + tap * dilation).checked_sub(before);
            (0..kernel)
                .filter_map(|tap| Some(Tap { tap, input: input(tap).filter(|&i| i < inputs)? }))
                .collect()
        };
        Self { inputs, kernel, outputs: (0..outputs).map(taps).collect() }
    }

    /// The same with inputs and outputs exchanged: what the gradient of the input reads.
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
    /// last of them; what they leave out in between is among them.
    pub(super) fn window(&self, first: usize, last: usize) -> std::ops::Range<usize> {
        let inputs = || self.outputs[first..last].iter().flatten().map(|tap| tap.input);
        inputs().min().unwrap_or(0)..inputs().max().map_or(0, |input| input + 1)
    }

    /// The most inputs that so many outputs in a row read, of groups that follow each other.
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
    fn neighbours_are_found_where_they_are() {
        for before in 0..3 {
            let axis = Axis::new(7, 7 + 2 * before - 2, 3, [1, 1, before]);
            assert_eq!(axis.neighbours(), Some(before));
        }
        assert_eq!(Axis::new(8, 4, 3, [2, 1, 1]).neighbours(), None);
        assert_eq!(Axis::new(8, 8, 3, [1, 2, 2]).neighbours(), None);
        assert_eq!(Axis::new(8, 7, 2, [1, 1, 0]).neighbours(), None);
    }
}
