//! A synapse: planes in, a current out (eqs. 12 and 16).

use crate::counting::counts::Tally;
use crate::counting::program::{NodeProgram, Synapse};
use crate::counting::spike_planes;
use crate::counting::state::{Buffer, Scratch};
use crate::counting::stream::{Class, Moment, Pass};
use crate::counting::weights::Start;
use crate::neuron::SiteNumber;

impl<A: SiteNumber> Synapse<A> {
    /// One macro-step: `J = M·A + b` into `current`, channels last.
    pub(crate) fn run(
        &self,
        nodes: &[NodeProgram<A>],
        before: &mut [Buffer<A>],
        current: &mut [A],
        scratch: &mut Scratch<A>,
        tally: &mut Tally,
    ) {
        let width = self.weights.width();
        let size = current.len() / self.channels * width;
        // Scratch is lent to the forming of planes as well, so the accumulators leave it for a
        // moment; taking a vector does not allocate.
        let mut accumulators = std::mem::take(&mut scratch.accumulators);
        let mut start = Start::Zero;
        for pass in &self.passes {
            for remaining in (0..pass.micro_steps).rev() {
                let at = Moment { class: pass.class, remaining };
                for &node in &self.chain {
                    spike_planes::form(nodes, before, node, at, scratch);
                }
                let stream = nodes[self.source].stream.as_ref();
                let plane =
                    stream.and_then(|stream| spike_planes::sent(stream, &before[self.source], at));
                let Some(plane) = plane else { continue };
                self.count(plane, *pass, tally);
                if start == Start::Keep && pass.class == Class::Horner {
                    start = Start::Double;
                }
                if !(plane.is_empty() && start == Start::Keep) {
                    self.weights.deliver(plane, &mut accumulators[..size], start, pass.weighted);
                }
                start = Start::Keep;
            }
        }
        self.finish(&accumulators[..size], width, current);
        scratch.accumulators = accumulators;
    }

    fn count(
        &self,
        plane: &crate::counting::event_list::EventList<A>,
        pass: Pass,
        tally: &mut Tally,
    ) {
        match pass.class {
            Class::Graded => tally.multiplications += plane.weighted_entries(&self.fan_out),
            Class::Horner | Class::Counted | Class::Subtracted if pass.weighted => {
                tally.additions += plane.weighted_counts(&self.fan_out);
            }
            Class::Horner | Class::Counted | Class::Subtracted => {
                tally.additions += plane.weighted_entries(&self.fan_out);
            }
        }
    }

    fn finish(&self, accumulators: &[A], width: usize, current: &mut [A]) {
        let rows = accumulators.chunks_exact(width).zip(current.chunks_exact_mut(self.channels));
        match (&self.multiplier, &self.bias) {
            (None, None) => {
                rows.for_each(|(sums, row)| row.copy_from_slice(&sums[..self.channels]));
            }
            (None, Some(bias)) => {
                for (sums, row) in rows {
                    row.iter_mut().zip(sums).zip(bias).for_each(|((j, &a), &b)| *j = a.plus(b));
                }
            }
            (Some(multiplier), None) => {
                for (sums, row) in rows {
                    row.iter_mut()
                        .zip(sums)
                        .zip(multiplier)
                        .for_each(|((j, &a), &m)| *j = m.times(a));
                }
            }
            (Some(multiplier), Some(bias)) => {
                for (sums, row) in rows {
                    let parts = row.iter_mut().zip(sums).zip(multiplier).zip(bias);
                    parts.for_each(|(((j, &a), &m), &b)| *j = m.times(a).plus(b));
                }
            }
        }
    }
}
