//! The accumulator type of stages: i32 with weights of 8 bits on the grid, f32 with weights of f32
//! off it.

use crate::arithmetic::Arithmetic;
use crate::deploy::kernels::weights::{self, RowTask};
use crate::deploy::plan::dense::Dense;
use crate::deploy::plan::depth_wise::DepthWise;
use crate::deploy::plan::neurons::{GridKernel, RealKernel, RowKernel};
use crate::deploy::plan::weights::{PackedWeights, WeightSource};
use crate::neuron::SiteNumber;
use snn_ir::{Conv, Model, Result};
use snn_simd::{Available, InstructionSet};
use std::fmt::Debug;

/// Numbers of a deployment.
pub(crate) trait Number: SiteNumber {
    /// A packed weight.
    type Weight: Copy + Default + PartialEq + Debug + Send + Sync;
    /// Sites that are run a row at a time.
    type RowKernel: RowKernel<Self>;

    /// A level or a multiplier.
    fn of(integer: i32) -> Self;
    /// M of eq. 12, one an output; empty off the grid, where there are none.
    fn multipliers(model: &Model, node: &str) -> Result<Vec<i32>>;
    /// A weight as it is packed.
    fn packed(self) -> Self::Weight;
    fn rows(source: &WeightSource<'_, Self::Weight>) -> PackedWeights<Self::Weight>;
    /// The same synapse as a dense product of integers, if it has one; `least` as in
    /// [`Dense::pack`].
    fn dense(
        source: &WeightSource<'_, Self::Weight>,
        rows: &PackedWeights<Self::Weight>,
        instruction_set: InstructionSet,
        least: [Option<usize>; 2],
    ) -> Option<Dense>;
    /// The same depth-wise convolution as a dense product of integers, if it is one;
    /// [`DepthWise::pack`].
    fn depth_wise(
        conv: &Conv,
        weights: (&[Self], &[i32]),
        shapes: ([usize; 3], [usize; 3]),
        levels: (f64, bool),
        least: Option<usize>,
    ) -> Option<DepthWise>;
    /// Currents for a dense product.
    fn integers(currents: &mut [Self]) -> Option<&mut [i32]>;
    /// The same to read.
    fn as_integers(currents: &[Self]) -> Option<&[i32]>;
    /// Adds what one block of a synapse makes of a row of windows to the currents of that row.
    fn deliver(instructions: Available, place: RowTask<'_, Self>, currents: &mut [Self]);
}

impl Number for i32 {
    type Weight = i8;
    type RowKernel = GridKernel;

    #[inline(always)]
    fn of(integer: i32) -> Self {
        integer
    }

    fn multipliers(model: &Model, node: &str) -> Result<Vec<i32>> {
        Self::part(model, node, "multiplier")
    }

    fn packed(self) -> i8 {
        // Weights of more bits are refused when the model is validated.
        i8::try_from(self).unwrap_or_default()
    }

    fn rows(source: &WeightSource<'_, i8>) -> PackedWeights<i8> {
        PackedWeights::integers(source)
    }

    fn dense(
        source: &WeightSource<'_, i8>,
        rows: &PackedWeights<i8>,
        instruction_set: InstructionSet,
        least: [Option<usize>; 2],
    ) -> Option<Dense> {
        Dense::pack(source, rows, instruction_set, least)
    }

    fn depth_wise(
        conv: &Conv,
        (weight, multiplier): (&[Self], &[i32]),
        shapes: ([usize; 3], [usize; 3]),
        levels: (f64, bool),
        least: Option<usize>,
    ) -> Option<DepthWise> {
        DepthWise::pack(conv, weight, multiplier, shapes, levels, least)
    }

    fn integers(currents: &mut [Self]) -> Option<&mut [i32]> {
        Some(currents)
    }

    fn as_integers(currents: &[Self]) -> Option<&[i32]> {
        Some(currents)
    }

    fn deliver(instructions: Available, place: RowTask<'_, Self>, currents: &mut [Self]) {
        weights::deliver(instructions, place, currents);
    }
}

impl Number for f32 {
    type Weight = f32;
    type RowKernel = RealKernel;

    #[inline(always)]
    #[expect(
        clippy::cast_precision_loss,
        reason = "levels are below 2²⁴, or rounded as f32 rounds"
    )]
    fn of(integer: i32) -> Self {
        integer as Self
    }

    fn multipliers(_model: &Model, _node: &str) -> Result<Vec<i32>> {
        Ok(Vec::new())
    }

    fn packed(self) -> f32 {
        self
    }

    fn rows(source: &WeightSource<'_, f32>) -> PackedWeights<f32> {
        PackedWeights::reals(source)
    }

    fn dense(
        _: &WeightSource<'_, f32>,
        _: &PackedWeights<f32>,
        _: InstructionSet,
        _: [Option<usize>; 2],
    ) -> Option<Dense> {
        None
    }

    fn depth_wise(
        _: &Conv,
        _: (&[Self], &[i32]),
        _: ([usize; 3], [usize; 3]),
        _: (f64, bool),
        _: Option<usize>,
    ) -> Option<DepthWise> {
        None
    }

    fn integers(_currents: &mut [Self]) -> Option<&mut [i32]> {
        None
    }

    fn as_integers(_currents: &[Self]) -> Option<&[i32]> {
        None
    }

    fn deliver(instructions: Available, place: RowTask<'_, Self>, currents: &mut [Self]) {
        weights::deliver_reals(instructions, place, currents);
    }
}
