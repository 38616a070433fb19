//! Nodes on the grid. Values are int64; convolutions and sums over windows are of f32, which is all
//! that onnxruntime convolves, of integers so small that every partial sum is an f32 exactly.

use super::graph::Attribute;
use super::{Exporter, State, of, pads, refusal};
use crate::Result;
use crate::onnx::proto::DataType;
use ndarray::ArrayD;
use snn_ir::{
    Conv, F32_EXACT, Geometry, GridAdaptation, GridLif, GridReset, GridSynapse, MEMBRANE_LIMIT,
    Node, Op, PoolKind, Site, Spike, Window, weights,
};

/// Low digits of a sum over a window are below this; a window has fewer than 2¹² positions then.
const LOW: i64 = 1 << 12;
/// Largest weight.
const MOST: i64 = 127;

impl Exporter<'_> {
    pub(super) fn grid_node(
        &mut self,
        index: usize,
        node: &Node,
        inputs: &[&str],
    ) -> Result<String> {
        let x = inputs[0];
        let name = node.name.as_str();
        match &node.op {
            Op::Conv(conv) => self.grid_conv(index, node, conv, x),
            Op::Linear { bias, .. } => self.grid_linear(index, node, *bias, x),
            Op::Scale => {
                let weight = self.per_channel(name, "weight")?;
                Ok(self.builder.node(name, "Mul", &[x, &weight], &[]))
            }
            Op::Pool { pool: PoolKind::Sum, window } => self.sum_pool(index, node, window, x),
            Op::Pool { pool: PoolKind::Max, window } => {
                let real = self.builder.cast(&format!("{name}.real"), x, DataType::Double);
                let Geometry { kernel, stride, .. } = window.as_2d();
                let attributes = [
                    ("kernel_shape", Attribute::Ints(&kernel.map(of))),
                    ("strides", Attribute::Ints(&stride.map(of))),
                    ("pads", Attribute::Ints(&pads(window.as_2d()))),
                ];
                let pooled =
                    self.builder.node(&format!("{name}.max"), "MaxPool", &[&real], &attributes);
                Ok(self.builder.cast(name, &pooled, DataType::Int64))
            }
            Op::GlobalPool { pool: PoolKind::Sum } => {
                let axes = self.builder.i64s("axes:positions", &[2], &[2, 3]);
                Ok(self.builder.node(name, "ReduceSum", &[x, &axes], &[]))
            }
            Op::GlobalPool { pool: PoolKind::Max } => {
                let axes = [("axes", Attribute::Ints(&[2, 3]))];
                Ok(self.builder.node(name, "ReduceMax", &[x], &axes))
            }
            Op::Activation { site: Site::GridQuantRelu { levels }, .. } => {
                self.levels(node, usize::from(*levels), x)
            }
            Op::Activation { site: Site::GridLif(lif), .. } => self.grid_lif(node, lif, x),
            _ => Err(refusal(node, "it does not exist on the grid")),
        }
    }

    fn integers(&self, node: &str, part: &str) -> Result<ArrayD<i64>> {
        Ok(weights::integer(self.model.weights(), node, part)?)
    }

    /// A weight `[C]` as an initialiser `[C, 1, 1]`.
    fn per_channel(&mut self, node: &str, part: &str) -> Result<String> {
        let values: Vec<i64> = self.integers(node, part)?.iter().copied().collect();
        Ok(self.builder.i64s(&format!("{node}.{part}"), &[values.len(), 1, 1], &values))
    }

    /// Multiplier and bias of eq. 12.
    fn scaled(&mut self, node: &str, bias: bool, sum: &str) -> Result<String> {
        let multiplier = self.per_channel(node, "multiplier")?;
        let wanted = if bias { format!("{node}.scaled") } else { node.to_string() };
        let scaled = self.builder.node(&wanted, "Mul", &[sum, &multiplier], &[]);
        if !bias {
            return Ok(scaled);
        }
        let bias = self.per_channel(node, "bias")?;
        Ok(self.builder.node(node, "Add", &[&scaled, &bias], &[]))
    }

    fn grid_conv(&mut self, index: usize, node: &Node, conv: &Conv, x: &str) -> Result<String> {
        let name = node.name.as_str();
        let weight = self.integers(name, "weight")?;
        let bounds = &self.checked.streams()?.bounds[self.checked.nodes()[index].inputs[0]];
        let geometry = conv.as_2d();
        let Geometry { kernel, stride, dilation, .. } = geometry;
        let shape = [weight.shape()[0], weight.shape()[1], kernel[0], kernel[1]];
        // Digits of the weights, until every sum of a digit is exact.
        let fits = |digits: &[i64]| {
            let rows = digits.chunks(digits.len() / shape[0]);
            rows.enumerate().all(|(o, row)| {
                let first = o / (shape[0] / conv.groups) * shape[1];
                let taps = kernel[0] * kernel[1];
                let terms = row.iter().enumerate();
                let sum: f64 =
                    terms.map(|(i, n)| (n.abs() as f64) * bounds[first + i / taps]).sum();
                sum < F32_EXACT
            })
        };
        let values: Vec<i64> = weight.iter().copied().collect();
        let base = (2..=7)
            .rev()
            .map(|bits| 1_i64 << bits)
            .find(|base| digits(&values, *base).iter().all(|(_, digits)| fits(digits)));
        let base = base.ok_or_else(|| {
            refusal(node, "its sums are too large for f32, which is what ONNX convolves exactly")
        })?;
        let real = self.builder.cast(&format!("{name}.real"), x, DataType::Float);
        let attributes = [
            ("kernel_shape", Attribute::Ints(&kernel.map(of))),
            ("strides", Attribute::Ints(&stride.map(of))),
            ("pads", Attribute::Ints(&pads(geometry))),
            ("dilations", Attribute::Ints(&dilation.map(of))),
            ("group", Attribute::Int(of(conv.groups))),
        ];
        let mut sum: Option<String> = None;
        for (factor, digits) in digits(&values, base) {
            let wanted = if factor == 1 { "weight".into() } else { format!("weight*{factor}") };
            let digits: Vec<f32> = digits.iter().map(|n| *n as f32).collect();
            let weight = self.builder.f32s(&format!("{name}.{wanted}"), &shape, &digits);
            let part =
                self.builder.node(&format!("{name}.conv"), "Conv", &[&real, &weight], &attributes);
            let mut part = self.builder.cast(&format!("{name}.sum"), &part, DataType::Int64);
            if factor != 1 {
                let factor = self.builder.integer(factor);
                part = self.builder.node(&format!("{name}.digit"), "Mul", &[&part, &factor], &[]);
            }
            sum = Some(match sum {
                None => part,
                Some(sum) => {
                    self.builder.node(&format!("{name}.digits"), "Add", &[&sum, &part], &[])
                }
            });
        }
        self.scaled(name, conv.bias, &sum.unwrap_or_default())
    }

    /// A product of matrices, which onnxruntime has of int64.
    fn grid_linear(&mut self, index: usize, node: &Node, bias: bool, x: &str) -> Result<String> {
        let name = node.name.as_str();
        let weight = self.integers(name, "weight")?;
        let [outputs, inputs] = [weight.shape()[0], weight.shape()[1]];
        let transposed: Vec<i64> = weight.t().iter().copied().collect();
        let weight = self.builder.i64s(&format!("{name}.weight"), &[inputs, outputs], &transposed);
        let [features, _, _] = self.checked.nodes()[index].chw();
        let flat = self.shaped(&format!("{name}.input"), x, &[-1, of(inputs)]);
        let product =
            self.builder.node(&format!("{name}.product"), "MatMul", &[&flat, &weight], &[]);
        let sum = self.shaped(&format!("{name}.sum"), &product, &[-1, of(features), 1, 1]);
        self.scaled(name, bias, &sum)
    }

    /// A sum over windows: a convolution of weights 1, of the low and high digits of what is large.
    fn sum_pool(&mut self, index: usize, node: &Node, window: &Window, x: &str) -> Result<String> {
        let name = node.name.as_str();
        let input = self.checked.nodes()[index].inputs[0];
        let largest = self.checked.streams()?.bounds[input].iter().fold(0.0_f64, |a, b| a.max(*b));
        let size = window.size() as f64;
        if largest * size < F32_EXACT {
            let sum = self.sum_of_windows(index, name, window, x);
            return Ok(sum);
        }
        let high = (largest / LOW as f64 + 1.0) * size;
        if size * LOW as f64 >= F32_EXACT || high >= F32_EXACT {
            return Err(refusal(node, "its sums are too large for f32, which is what ONNX pools"));
        }
        let low = self.builder.integer(LOW);
        let rest = self.builder.node(&format!("{name}.low"), "Mod", &[x, &low], &[]);
        let whole = self.builder.node(&format!("{name}.whole"), "Sub", &[x, &rest], &[]);
        let high = self.builder.node(&format!("{name}.high"), "Div", &[&whole, &low], &[]);
        let rest = self.sum_of_windows(index, name, window, &rest);
        let high = self.sum_of_windows(index, name, window, &high);
        let high = self.builder.node(&format!("{name}.scaled"), "Mul", &[&high, &low], &[]);
        Ok(self.builder.node(name, "Add", &[&high, &rest], &[]))
    }

    fn sum_of_windows(&mut self, index: usize, name: &str, window: &Window, x: &str) -> String {
        let geometry = window.as_2d();
        let Geometry { kernel, stride, .. } = geometry;
        let [channels, _, _] = self.checked.nodes()[index].chw();
        let ones = vec![1.0; channels * kernel[0] * kernel[1]];
        let shape = [channels, 1, kernel[0], kernel[1]];
        let ones = self.builder.f32s(&format!("{name}.ones"), &shape, &ones);
        let real = self.builder.cast(&format!("{name}.real"), x, DataType::Float);
        let attributes = [
            ("strides", Attribute::Ints(&stride.map(of))),
            ("pads", Attribute::Ints(&pads(geometry))),
            ("group", Attribute::Int(of(channels))),
        ];
        let sum = self.builder.node(&format!("{name}.sums"), "Conv", &[&real, &ones], &attributes);
        self.builder.cast(&format!("{name}.sum"), &sum, DataType::Int64)
    }

    /// The number of thresholds that a current meets (eq. 13), which is that of the levels: an axis
    /// of their own.
    fn levels(&mut self, node: &Node, levels: usize, x: &str) -> Result<String> {
        let name = node.name.as_str();
        let thresholds = self.integers(name, "thresholds")?;
        let channels = thresholds.shape()[1];
        let by_channel: Vec<i64> = thresholds.t().iter().copied().collect();
        let edges = self.builder.i64s(
            &format!("{name}.thresholds"),
            &[channels, 1, 1, levels],
            &by_channel,
        );
        let last = self.builder.i64s("axes:last", &[1], &[-1]);
        let wide = self.builder.node(&format!("{name}.wide"), "Unsqueeze", &[x, &last], &[]);
        let met =
            self.builder.node(&format!("{name}.met"), "GreaterOrEqual", &[&wide, &edges], &[]);
        let met = self.builder.cast(&format!("{name}.ones"), &met, DataType::Int64);
        let keep = [("keepdims", Attribute::Int(0))];
        Ok(self.builder.node(name, "ReduceSum", &[&met, &last], &keep))
    }

    /// `⌊value / divisor⌋` of a positive divisor: ONNX divides towards 0, and its remainder has the
    /// sign of the divisor.
    fn floor_div(&mut self, wanted: &str, value: &str, divisor: &str) -> String {
        let rest = self.builder.node(&format!("{wanted}.rest"), "Mod", &[value, divisor], &[]);
        let whole = self.builder.node(&format!("{wanted}.whole"), "Sub", &[value, &rest], &[]);
        self.builder.node(wanted, "Div", &[&whole, divisor], &[])
    }

    /// `⌊value·k / 2^m⌋`.
    fn leaked(&mut self, wanted: &str, value: &str, multiplier: u32, shift: u8) -> String {
        if multiplier == 1 << shift {
            return value.to_string();
        }
        let k = self.builder.integer(multiplier.into());
        let scaled = self.builder.node(&format!("{wanted}.scaled"), "Mul", &[value, &k], &[]);
        let divisor = self.builder.integer(1 << shift);
        self.floor_div(wanted, &scaled, &divisor)
    }

    fn saturated(&mut self, wanted: &str, value: &str) -> String {
        let least = self.builder.integer(-MEMBRANE_LIMIT);
        let most = self.builder.integer(MEMBRANE_LIMIT);
        self.builder.node(wanted, "Clip", &[value, &least, &most], &[])
    }

    /// A comparison as an integer.
    fn meets(&mut self, wanted: &str, operator: &str, a: &str, b: &str) -> String {
        let met = self.builder.node(&format!("{wanted}.met"), operator, &[a, b], &[]);
        self.builder.cast(wanted, &met, DataType::Int64)
    }

    /// One macro-step of eq. 13. What is at rest is left out, as are sums with zero.
    fn grid_lif(&mut self, node: &Node, lif: &GridLif, x: &str) -> Result<String> {
        let name = node.name.as_str();
        let at = |part: &str| format!("{name}.{part}");
        let state = self.states.get(name).cloned();
        let guard = self.builder.integer(1 << lif.guard_bits);
        let mut current = self.builder.node(&at("input"), "Mul", &[x, &guard], &[]);
        if let GridSynapse::Current { multiplier, shift } = lif.synapse {
            if let Some(before) = state.as_ref().and_then(|state| state.current.clone()) {
                let decayed = self.leaked(&at("decayed"), &before, multiplier, shift);
                current = self.builder.node(&at("charged"), "Add", &[&decayed, &current], &[]);
            }
            current = self.saturated(&at("current"), &current);
        }
        let before = match &state {
            Some(state) => Some(state.membrane.clone()),
            None if lif.initial => Some(self.per_channel(name, "initial")?),
            None => None,
        };
        let mut membrane = current.clone();
        if let Some(before) = before {
            let kept = self.leaked(&at("kept"), &before, lif.leak_multiplier, lif.leak_shift);
            membrane = self.builder.node(&at("sum"), "Add", &[&kept, &current], &[]);
        }
        let membrane = self.saturated(&at("membrane"), &membrane);
        let thresholds: Vec<i64> =
            self.integers(name, "threshold")?.iter().map(|v| v << lif.guard_bits).collect();
        let shape = [thresholds.len(), 1, 1];
        let base = self.builder.i64s(&at("threshold"), &shape, &thresholds);
        let adaptation = state.as_ref().and_then(|state| state.adaptation.clone());
        let edge = match &adaptation {
            Some(adaptation) => self.builder.node(&at("edge"), "Add", &[&base, adaptation], &[]),
            None => base.clone(),
        };
        let level = self.level(name, lif.spike, &membrane, &edge);
        let after = match lif.reset {
            GridReset::None => membrane,
            GridReset::Hard => {
                let zero = self.builder.integer(0);
                let silent = self.builder.node(&at("silent"), "Equal", &[&level, &zero], &[]);
                self.builder.node(&at("reset"), "Where", &[&silent, &membrane, &zero], &[])
            }
            GridReset::Soft => {
                let taken = self.builder.node(&at("taken"), "Mul", &[&base, &level], &[]);
                self.builder.node(&at("reset"), "Sub", &[&membrane, &taken], &[])
            }
        };
        let adaptation = match lif.adaptation {
            GridAdaptation::None => None,
            GridAdaptation::Threshold { multiplier, shift } => {
                let jump = self.per_channel(name, "adaptation")?;
                let spikes = self.builder.node(&at("spikes"), "Abs", &[&level], &[]);
                let mut next = self.builder.node(&at("jump"), "Mul", &[&jump, &spikes], &[]);
                if let Some(before) = &adaptation {
                    let decayed = self.leaked(&at("forgotten"), before, multiplier, shift);
                    next = self.builder.node(&at("adapted"), "Add", &[&decayed, &next], &[]);
                }
                Some(self.saturated(&at("adaptation"), &next))
            }
        };
        let current = (lif.synapse != GridSynapse::Instant).then_some(current);
        let state = State { membrane: after, current, adaptation };
        self.states.insert(name.into(), state);
        Ok(level)
    }

    fn level(&mut self, name: &str, spike: Spike, membrane: &str, edge: &str) -> String {
        match spike {
            Spike::Binary => self.meets(name, "GreaterOrEqual", membrane, edge),
            Spike::Ternary => {
                let up = self.meets(&format!("{name}.up"), "GreaterOrEqual", membrane, edge);
                let below = self.builder.node(&format!("{name}.below"), "Neg", &[edge], &[]);
                let down = self.meets(&format!("{name}.down"), "LessOrEqual", membrane, &below);
                self.builder.node(name, "Sub", &[&up, &down], &[])
            }
            Spike::Integer { levels } => {
                let two = self.builder.integer(2);
                let twice =
                    self.builder.node(&format!("{name}.twice"), "Mul", &[membrane, &two], &[]);
                let sum = self.builder.node(&format!("{name}.half"), "Add", &[&twice, edge], &[]);
                let step = self.builder.node(&format!("{name}.step"), "Mul", &[edge, &two], &[]);
                let ratio = self.floor_div(&format!("{name}.ratio"), &sum, &step);
                let (least, most) = (self.builder.integer(0), self.builder.integer(levels.into()));
                self.builder.node(name, "Clip", &[&ratio, &least, &most], &[])
            }
        }
    }
}

/// Weights as sums of digits times powers of a base, digits of at most half of it: factors with
/// digits. A base above every weight leaves them whole.
fn digits(weights: &[i64], base: i64) -> Vec<(i64, Vec<i64>)> {
    if base > MOST {
        return vec![(1, weights.to_vec())];
    }
    let mut rest = weights.to_vec();
    let mut factor = 1;
    let mut parts = Vec::new();
    while rest.iter().any(|n| *n != 0) || parts.is_empty() {
        let low: Vec<i64> =
            rest.iter().map(|n| (n + base / 2).rem_euclid(base) - base / 2).collect();
        rest.iter_mut().zip(&low).for_each(|(rest, low)| *rest = (*rest - low) / base);
        parts.push((factor, low));
        factor *= base;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn digits_add_up_to_the_weights() {
        let weights: Vec<i64> = (-127..=127).collect();
        for base in [4, 8, 16, 32, 64, 128] {
            let mut sum = vec![0; weights.len()];
            for (factor, digits) in digits(&weights, base) {
                assert!(base > 127 || digits.iter().all(|n| n.abs() <= base / 2), "{base}");
                sum.iter_mut().zip(&digits).for_each(|(sum, n)| *sum += factor * n);
            }
            assert_eq!(sum, weights);
        }
    }
}
