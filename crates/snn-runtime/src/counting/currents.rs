//! Operations that join or rearrange currents (eqs. 5 and 6), channels last.

use crate::counting::program::{NodeKernel, NodeProgram, Program};
use crate::counting::state::{Buffer, current_of};
use crate::neuron::SiteNumber;

/// Runs a node that reads currents and yields one.
pub(crate) fn join<A: SiteNumber>(
    kernel: &NodeKernel<A>,
    program: &Program<A>,
    node: &NodeProgram<A>,
    before: &[Buffer<A>],
    output: &mut [A],
) {
    let input = |i: usize| current_of(before, node.inputs[i]);
    match kernel {
        NodeKernel::Add => {
            output.copy_from_slice(input(0));
            for i in 1..node.inputs.len() {
                output.iter_mut().zip(input(i)).for_each(|(sum, &x)| *sum = sum.plus(x));
            }
        }
        NodeKernel::Pool(pool) => pool.currents(input(0), output),
        NodeKernel::Flatten => {
            let positions = program.nodes[node.inputs[0]].positions;
            let channels = output.len() / positions;
            for (position, row) in input(0).chunks_exact(channels).enumerate() {
                output[position..]
                    .iter_mut()
                    .step_by(positions)
                    .zip(row)
                    .for_each(|(to, &from)| *to = from);
            }
        }
        NodeKernel::Concat { starts } => {
            for (i, &start) in starts.iter().enumerate() {
                let channels = program.nodes[node.inputs[i]].channels;
                for (row, x) in
                    output.chunks_exact_mut(node.channels).zip(input(i).chunks_exact(channels))
                {
                    row[start..start + channels].copy_from_slice(x);
                }
            }
        }
        NodeKernel::Input { .. }
        | NodeKernel::Synapse(_)
        | NodeKernel::Site(_)
        | NodeKernel::Head => {}
    }
}
