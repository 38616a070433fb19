//! Constants of constants: shapes as exporters compute them for a flattening, and weights that are
//! transposed, scaled or converted.

use super::file::SourceNode;
use super::proto::DataType;
use super::tensor::{Constant, MAX_COMPUTED};
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn, Slice};

/// The value of a node all of whose inputs are constants (`None` for one that is left out); `None`
/// of an operator that is not computed.
pub(super) fn fold(
    node: &SourceNode,
    inputs: &[Option<&Constant>],
    opset: i64,
) -> Result<Option<Constant>, String> {
    let input = |position: usize| {
        let given = inputs.get(position).copied().flatten();
        given.ok_or_else(|| format!("its input {position} is missing"))
    };
    let folded = match node.operator.as_str() {
        "Identity" => input(0)?.clone(),
        "Cast" => cast(input(0)?, node.int("to")?.unwrap_or(0))?,
        "Shape" => Constant::ints(span(node, input(0)?.shape())?),
        "Gather" => gather(node, input(0)?, input(1)?)?,
        "Concat" => {
            let inputs = (0..inputs.len()).map(input).collect::<Result<Vec<_>, _>>()?;
            concat(node, &inputs)?
        }
        "Slice" => slice(node, inputs)?,
        "Reshape" => {
            let shape =
                reshaped(input(0)?.shape(), &input(1)?.integers()?, node.is_on("allowzero")?)?;
            input(0)?.reshaped(&shape)?
        }
        "Flatten" => {
            let shape = input(0)?.shape();
            let axis = position(node.int("axis")?.unwrap_or(1), shape.len() + 1)?;
            let sides = [shape[..axis].iter().product(), shape[axis..].iter().product()];
            input(0)?.reshaped(&sides)?
        }
        "Squeeze" | "Unsqueeze" => {
            let axes = axes(node, inputs.get(1).copied().flatten())?;
            let shape = squeezed(&node.operator, input(0)?.shape(), axes.as_deref())?;
            input(0)?.reshaped(&shape)?
        }
        "Transpose" => {
            let rank = input(0)?.shape().len();
            input(0)?.permuted(&permutation(node, rank)?)
        }
        "ConstantOfShape" => filled(node, &input(0)?.integers()?)?,
        "Add" | "Sub" | "Mul" | "Div" => arithmetic(&node.operator, input(0)?, input(1)?, opset)?,
        "Neg" => input(0)?.map_real(|v| -v),
        "Sqrt" => input(0)?.map_real(f64::sqrt),
        "Reciprocal" => input(0)?.map_real(f64::recip),
        _ => return Ok(None),
    };
    Ok(Some(folded))
}

impl Constant {
    fn map_real(&self, compute: impl Fn(f64) -> f64) -> Constant {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "shapes and the like")]
            Constant::I64(a) => Constant::I64(a.mapv(|v| compute(v as f64) as i64)),
            Constant::F32(_) | Constant::F64(_) => self.like(self.real_array().mapv(compute)),
        }
    }
}

/// An axis, which may count from the end, as a position.
pub(super) fn position(axis: i64, rank: usize) -> Result<usize, String> {
    let count = i64::try_from(rank).unwrap_or(i64::MAX);
    let position = if axis < 0 { axis.saturating_add(count) } else { axis };
    usize::try_from(position)
        .ok()
        .filter(|position| *position < rank)
        .ok_or_else(|| format!("it has no axis {axis}: its input has {rank} axes"))
}

/// Axes of an operator: an attribute, in newer operator sets an input.
pub(super) fn axes(
    node: &SourceNode,
    input: Option<&Constant>,
) -> Result<Option<Vec<i64>>, String> {
    match input {
        Some(constant) => constant.integers().map(Some),
        None => Ok(node.ints("axes")?.map(<[i64]>::to_vec)),
    }
}

/// The axes of a transposition: an attribute, or all of them backwards.
pub(super) fn permutation(node: &SourceNode, rank: usize) -> Result<Vec<usize>, String> {
    let Some(named) = node.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    let axes = named.iter().map(|axis| position(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut seen = axes.clone();
    seen.sort_unstable();
    if seen != (0..rank).collect::<Vec<_>>() {
        return Err(format!("perm must name each of {rank} axes once, found {named:?}"));
    }
    Ok(axes)
}

/// Sizes of a shape that a `Shape` node yields: all, or those from `start` to `end`.
pub(super) fn span(node: &SourceNode, shape: &[usize]) -> Result<Vec<i64>, String> {
    let rank = i64::try_from(shape.len()).unwrap_or(i64::MAX);
    let bound = |value: i64| {
        let value = if value < 0 { value.saturating_add(rank) } else { value };
        usize::try_from(value.clamp(0, rank)).unwrap_or(0)
    };
    let start = bound(node.int("start")?.unwrap_or(0));
    let end = bound(node.int("end")?.unwrap_or(rank));
    let sizes = shape.iter().take(end).skip(start);
    sizes.map(|size| i64::try_from(*size).map_err(|error| error.to_string())).collect()
}

/// The shape that `Reshape` gives: 0 keeps an axis, −1 takes what is left.
pub(super) fn reshaped(
    from: &[usize],
    to: &[i64],
    zero_is_zero: bool,
) -> Result<Vec<usize>, String> {
    let misfit = || format!("the shape {from:?} cannot become {to:?}");
    let product = |sizes: &[usize]| sizes.iter().try_fold(1_usize, |all, n| all.checked_mul(*n));
    let mut open = None;
    let mut shape = Vec::with_capacity(to.len());
    for (axis, &size) in to.iter().enumerate() {
        shape.push(match size {
            0 if !zero_is_zero => *from.get(axis).ok_or_else(misfit)?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            _ => usize::try_from(size).map_err(|_| misfit())?,
        });
    }
    let (all, given) = (product(from), product(&shape));
    let (Some(all), Some(given)) = (all, given) else { return Err(misfit()) };
    if let Some(axis) = open {
        if given == 0 || !all.is_multiple_of(given) {
            return Err(misfit());
        }
        shape[axis] = all / given;
    } else if all != given {
        return Err(misfit());
    }
    Ok(shape)
}

/// The shape that `Squeeze` or `Unsqueeze` gives.
pub(super) fn squeezed(
    operator: &str,
    from: &[usize],
    axes: Option<&[i64]>,
) -> Result<Vec<usize>, String> {
    if operator == "Squeeze" {
        let Some(axes) = axes else {
            return Ok(from.iter().copied().filter(|size| *size != 1).collect());
        };
        let axes = axes.iter().map(|a| position(*a, from.len())).collect::<Result<Vec<_>, _>>()?;
        if let Some(axis) = axes.iter().find(|axis| from[**axis] != 1) {
            return Err(format!("axis {axis} of the shape {from:?} is not of size 1"));
        }
        let kept = from.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
        return Ok(kept.map(|(_, size)| *size).collect());
    }
    let axes = axes.ok_or("it names no axes")?;
    let rank = from.len().saturating_add(axes.len());
    if rank > 8 {
        return Err(format!("it makes {rank} axes; at most 8 can be"));
    }
    let axes = axes.iter().map(|a| position(*a, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut sizes = from.iter();
    let shape: Vec<usize> = (0..rank)
        .map(|axis| if axes.contains(&axis) { Some(1) } else { sizes.next().copied() })
        .collect::<Option<_>>()
        .ok_or("it names an axis twice")?;
    if sizes.next().is_some() {
        return Err("it names an axis twice".into());
    }
    Ok(shape)
}

fn cast(value: &Constant, to: i64) -> Result<Constant, String> {
    let kind = i32::try_from(to).ok().and_then(|to| DataType::try_from(to).ok());
    let real = || value.real_array();
    #[expect(clippy::cast_possible_truncation, reason = "that is what a cast does")]
    match kind {
        Some(DataType::Float) => Ok(Constant::F32(match value {
            Constant::F32(a) => a.clone(),
            Constant::F64(_) | Constant::I64(_) => real().mapv(|v| v as f32),
        })),
        Some(DataType::Double) => Ok(Constant::F64(real())),
        Some(DataType::Int64 | DataType::Int32) => Ok(Constant::I64(match value {
            Constant::I64(a) => a.clone(),
            Constant::F32(_) | Constant::F64(_) => real().mapv(|v| v as i64),
        })),
        _ => Err(format!(
            "a constant cannot be cast to data type {to}; float, double, int32 and \
                          int64 can be"
        )),
    }
}

fn gather(node: &SourceNode, data: &Constant, indices: &Constant) -> Result<Constant, String> {
    let axis = position(node.int("axis")?.unwrap_or(0), data.shape().len())?;
    let size = data.shape()[axis];
    let at = indices.integers()?;
    let at = at.iter().map(|i| position(*i, size)).collect::<Result<Vec<_>, _>>()?;
    let rest: usize = data.len() / size.max(1);
    if at.len().saturating_mul(rest) > MAX_COMPUTED.max(data.len()) {
        return Err("it makes more values than it reads".into());
    }
    let mut shape = data.shape().to_vec();
    shape.splice(axis..=axis, indices.shape().iter().copied());
    let selected = match data {
        Constant::F32(a) => Constant::F32(a.select(Axis(axis), &at)),
        Constant::F64(a) => Constant::F64(a.select(Axis(axis), &at)),
        Constant::I64(a) => Constant::I64(a.select(Axis(axis), &at)),
    };
    selected.reshaped(&shape)
}

fn concat(node: &SourceNode, inputs: &[&Constant]) -> Result<Constant, String> {
    let first = inputs.first().ok_or("it has no input")?;
    let axis = Axis(position(node.int("axis")?.unwrap_or(0), first.shape().len())?);
    let total: usize = inputs.iter().map(|input| input.len()).sum();
    let held: usize = inputs.iter().map(|input| input.len()).max().unwrap_or(0);
    if total > MAX_COMPUTED.max(held.saturating_mul(4)) {
        return Err("it makes more values than it reads".into());
    }
    if let Some(other) = inputs.iter().find(|input| input.shape().len() != first.shape().len()) {
        let (first, other) = (first.shape(), other.shape());
        return Err(format!("the shapes {first:?} and {other:?} cannot be concatenated"));
    }
    let failed = |error: ndarray::ShapeError| error.to_string();
    if inputs.iter().all(|input| matches!(input, Constant::I64(_))) {
        let views: Vec<ArrayViewD<'_, i64>> = inputs
            .iter()
            .filter_map(|input| if let Constant::I64(a) = input { Some(a.view()) } else { None })
            .collect();
        return Ok(Constant::I64(ndarray::concatenate(axis, &views).map_err(failed)?));
    }
    let arrays: Vec<ArrayD<f64>> = inputs.iter().map(|input| input.real_array()).collect();
    let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
    Ok(first.like(ndarray::concatenate(axis, &views).map_err(failed)?))
}

fn slice(node: &SourceNode, inputs: &[Option<&Constant>]) -> Result<Constant, String> {
    let data = inputs.first().copied().flatten().ok_or("its input 0 is missing")?;
    let given = |position: usize, name: &str| match inputs.get(position).copied().flatten() {
        Some(constant) => constant.integers().map(Some),
        None => Ok::<_, String>(node.ints(name)?.map(<[i64]>::to_vec)),
    };
    let starts = given(1, "starts")?.ok_or("it has no starts")?;
    let ends = given(2, "ends")?.ok_or("it has no ends")?;
    let count = i64::try_from(starts.len()).unwrap_or(i64::MAX);
    let axes = given(3, "axes")?.unwrap_or_else(|| (0..count).collect());
    let steps = given(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err("its starts, ends, axes and steps differ in length".into());
    }
    let mut sliced = data.clone();
    for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = position(*axis, data.shape().len())?;
        let size = i64::try_from(sliced.shape()[axis]).unwrap_or(i64::MAX);
        let from_end = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
        let (start, end) = (from_end(*start), from_end(*end));
        // Backwards: from `start` down to what stands behind `end`, that is the range in reverse.
        let (first, end) = if *step > 0 {
            (start.clamp(0, size), end.clamp(0, size))
        } else {
            (end.clamp(-1, size - 1) + 1, start.clamp(-1, size - 1) + 1)
        };
        let bounds =
            (isize::try_from(first), isize::try_from(end.max(first)), isize::try_from(*step));
        let (Ok(first), Ok(end), Ok(step)) = bounds else {
            return Err("its bounds are too large".into());
        };
        if step == 0 {
            return Err("it has a step of 0".into());
        }
        let part = Slice::new(first, Some(end), step);
        sliced = match &sliced {
            Constant::F32(a) => Constant::F32(a.slice_axis(Axis(axis), part).to_owned()),
            Constant::F64(a) => Constant::F64(a.slice_axis(Axis(axis), part).to_owned()),
            Constant::I64(a) => Constant::I64(a.slice_axis(Axis(axis), part).to_owned()),
        };
    }
    Ok(sliced)
}

fn filled(node: &SourceNode, shape: &[i64]) -> Result<Constant, String> {
    let sizes = shape.iter().map(|n| usize::try_from(*n)).collect::<Result<Vec<_>, _>>();
    let sizes = sizes.map_err(|_| format!("its shape is {shape:?}"))?;
    // Arrays bound the product of the axes that are not empty.
    let count = sizes.iter().try_fold(1_usize, |all, n| all.checked_mul((*n).max(1)));
    if sizes.len() > 8 || count.is_none_or(|count| count > MAX_COMPUTED) {
        return Err(format!("a filled constant may have {MAX_COMPUTED} values, not {shape:?}"));
    }
    let shape = IxDyn(&sizes);
    let Some(value) = node.tensor("value")? else {
        return Ok(Constant::F32(ArrayD::zeros(shape)));
    };
    let value = Constant::read(&value, &super::external::External::default())?;
    if value.len() != 1 {
        return Err(format!("its value must be one number, found {}", value.len()));
    }
    Ok(match &value {
        Constant::F32(a) => Constant::F32(ArrayD::from_elem(shape, a.sum())),
        Constant::F64(a) => Constant::F64(ArrayD::from_elem(shape, a.sum())),
        Constant::I64(a) => Constant::I64(ArrayD::from_elem(shape, a.sum())),
    })
}

/// Sums, differences, products and quotients with broadcasting.
fn arithmetic(operator: &str, a: &Constant, b: &Constant, opset: i64) -> Result<Constant, String> {
    if opset < 7 {
        return Err(
            "broadcasting of operator sets before 7 is not computed; export with 13 or more".into(),
        );
    }
    let shape = broadcast(a.shape(), b.shape())?;
    if let (Constant::I64(a), Constant::I64(b)) = (a, b) {
        let (a, b) = (spread(a, &shape)?, spread(b, &shape)?);
        let compute = |a: i64, b: i64| match operator {
            "Add" => a.checked_add(b),
            "Sub" => a.checked_sub(b),
            "Mul" => a.checked_mul(b),
            _ => a.checked_div(b),
        };
        let values = a.iter().zip(&b).map(|(a, b)| compute(*a, *b)).collect::<Option<Vec<_>>>();
        let values = values.ok_or("its integers leave 64 bits, or it divides by 0")?;
        let array = ArrayD::from_shape_vec(IxDyn(&shape), values);
        return Ok(Constant::I64(array.map_err(|error| error.to_string())?));
    }
    let kind = if matches!(a, Constant::I64(_)) { b } else { a };
    let (a, b) = (a.real_array(), b.real_array());
    let (a, b) = (spread(&a, &shape)?, spread(&b, &shape)?);
    let compute = |a: f64, b: f64| match operator {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        _ => a / b,
    };
    let values = a.iter().zip(&b).map(|(a, b)| compute(*a, *b)).collect();
    let array = ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|error| error.to_string())?;
    Ok(kind.like(array))
}

fn spread<'a, V>(array: &'a ArrayD<V>, shape: &[usize]) -> Result<ArrayViewD<'a, V>, String> {
    array.broadcast(IxDyn(shape)).ok_or_else(|| "its shapes do not fit".to_string())
}

fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own])
    };
    let shape: Vec<usize> = (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (1, n) | (n, 1) => Ok(n),
            (n, m) if n == m => Ok(n),
            _ => Err(format!("the shapes {a:?} and {b:?} do not fit")),
        })
        .collect::<Result<_, _>>()?;
    let count = |shape: &[usize]| shape.iter().try_fold(1_usize, |all, n| all.checked_mul(*n));
    let most = MAX_COMPUTED.max(count(a).unwrap_or(0)).max(count(b).unwrap_or(0));
    if count(&shape).is_none_or(|count| count > most) {
        return Err("it makes more values than it reads".into());
    }
    Ok(shape)
}
