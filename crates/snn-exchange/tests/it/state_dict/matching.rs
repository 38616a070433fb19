//! A state dict and a network that is given: which tensor is which weight, and what is refused.

use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use snn_exchange::pixels::Normalisation;
use snn_exchange::state_dict::{
    Axes, ImportOptions, Imported, MatchOptions, Partial, StateDict, import, weights_of,
};
use snn_ir::networks::{ResNet, Vgg};
use snn_ir::{Conv, Graph, GraphBuilder, Tensor, Weights};

const SEED: u64 = 7;

/// The state dict of tensors of safetensors.
fn state(tensors: &[(String, Tensor)]) -> StateDict {
    let bytes: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| match tensor {
            Tensor::F32(a) => {
                let bytes = a.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name.clone(), Dtype::F32, a.shape().to_vec(), bytes)
            }
            Tensor::I32(a) => {
                let bytes = a.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name.clone(), Dtype::I32, a.shape().to_vec(), bytes)
            }
            other => panic!("{}", other.dtype()),
        })
        .collect();
    let views = bytes.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    StateDict::from_bytes(bytes, "net.safetensors", None).unwrap()
}

/// Weights of a network under the names that another library gives them.
fn renamed(weights: &Weights, name: impl Fn(&str) -> String) -> Vec<(String, Tensor)> {
    weights.iter().map(|(own, tensor)| (name(own), tensor.clone())).collect()
}

fn resnet(classes: usize) -> (Graph, Weights) {
    let graph = ResNet { width: 4, blocks: vec![1, 1], classes, ..ResNet::default() }.build();
    let weights = graph.initial_weights(SEED).unwrap();
    (graph, weights)
}

/// The name that torchvision gives a weight of the built-in ResNet.
fn torchvision(name: &str) -> String {
    name.replace("stem.conv", "conv1")
        .replace("stem.bn", "bn1")
        .replace("shortcut.conv", "downsample.0")
        .replace("shortcut.bn", "downsample.1")
}

fn imported(graph: &Graph, state: &StateDict, matching: MatchOptions) -> Result<Imported, String> {
    let options =
        ImportOptions { graph: Some(graph.clone()), matching, ..ImportOptions::default() };
    import(state, &Normalisation::unit(1), &options).map_err(|error| error.to_string())
}

#[test]
fn a_built_in_network_takes_the_names_of_other_libraries() {
    let (graph, weights) = resnet(5);
    let cifar = |name: &str| {
        let name = torchvision(name).replace("downsample", "shortcut").replace("fc.", "linear.");
        format!("module.{name}")
    };
    let timm = |name: &str| torchvision(name).replace("fc.", "head.fc.");
    let compiled = |name: &str| format!("_orig_mod.model.{}", torchvision(name));
    let namings: [&dyn Fn(&str) -> String; 5] =
        [&torchvision, &cifar, &timm, &compiled, &ToString::to_string];
    for naming in namings {
        let mut tensors = renamed(&weights, naming);
        let counter = naming("stem.bn.num_batches_tracked");
        tensors.push((counter, Tensor::I32(ArrayD::zeros(IxDyn(&[])))));
        let Imported { model, report } =
            imported(&graph, &state(&tensors), MatchOptions::default()).unwrap();
        assert_eq!(model.weights(), &weights);
        assert!(report.is_complete() && report.layout.is_empty());
        assert_eq!((report.matched.len(), report.counters), (weights.len(), 1));
        let stem = &report.matched[0];
        assert_eq!(stem.ours, "stem.conv.weight");
        assert_eq!(stem.theirs, naming(&stem.ours));
        let summary = report.summary();
        assert_eq!(summary.lines().count(), 3, "{summary}");
        assert!(summary.starts_with("net.safetensors: the network that was given\n"), "{summary}");
    }
}

#[test]
fn a_partial_match_is_refused_unless_it_is_allowed() {
    let (graph, weights) = resnet(5);
    let (_, others) = resnet(3);
    // Another classifier, and a layer too many.
    let mut tensors = renamed(&others, torchvision);
    tensors.push(("auxiliary.weight".into(), weights["fc.weight"].clone()));
    let state = state(&tensors);
    let message = imported(&graph, &state, MatchOptions::default()).unwrap_err();
    let expected = "net.safetensors: fits the network only in part (30 weights have a tensor): no \
                    tensor for `fc.weight` [5, 8], `fc.bias` [5]; no weight for `auxiliary.weight` \
                    [5, 8], `fc.bias` [3], `fc.weight` [3, 8]; ";
    assert!(message.starts_with(expected), "{message}");
    let partial = Partial::Allow { seed: 3 };
    let options = MatchOptions { partial, ..MatchOptions::default() };
    let Imported { model, report } = imported(&graph, &state, options).unwrap();
    let first = graph.initial_weights(3).unwrap();
    for (name, tensor) in model.weights() {
        let source = if name.starts_with("fc.") { &first } else { &others };
        assert_eq!(tensor, &source[name], "{name}");
    }
    assert_eq!((report.missing.len(), report.left_over.len()), (2, 3));
    assert!(report.summary().contains("2 missing, 3 tensors left over"), "{}", report.summary());
    // Nothing at all fits.
    let nothing = renamed(&weights, |name| format!("other.{name}.x"));
    let message = imported(&graph, &self::state(&nothing), options).unwrap_err();
    assert!(message.contains("(0 weights have a tensor)"), "{message}");
}

/// A tensor with other axes.
fn reshaped(tensor: &Tensor, shape: &[usize], reversed: bool) -> Tensor {
    let Tensor::F32(array) = tensor else { panic!("{}", tensor.dtype()) };
    let array = if reversed { array.clone().reversed_axes() } else { array.clone() };
    let values: Vec<f32> = array.iter().copied().collect();
    Tensor::F32(ArrayD::from_shape_vec(IxDyn(shape), values).unwrap())
}

#[test]
fn matrices_may_be_transposed_or_convolutions_of_one_position() {
    let (graph, weights) = resnet(5);
    let mut tensors = weights.clone();
    tensors.insert("fc.weight".into(), reshaped(&weights["fc.weight"], &[8, 5], true));
    let name = "layer2.0.shortcut.conv.weight";
    tensors.insert(name.into(), reshaped(&weights[name], &[8, 4], false));
    let state = state(&renamed(&tensors, ToString::to_string));
    let (found, report) = weights_of(&graph, &state, MatchOptions::default()).unwrap();
    assert_eq!(found, weights);
    let axes = |name: &str| report.matched.iter().find(|m| m.ours == name).unwrap().axes;
    assert_eq!(axes("fc.weight"), Axes::Transposed);
    assert_eq!(axes(name), Axes::Reshaped);
    assert!(report.summary().contains(", 1 transposed, 1 reshaped"), "{}", report.summary());
    let json = serde_json::to_value(&report).unwrap();
    let entry = json["matched"].as_array().unwrap().iter().find(|m| m["ours"] == "fc.weight");
    let expected = serde_json::json!({
        "ours": "fc.weight", "theirs": "fc.weight", "shape": [5, 8], "axes": "transposed",
        "by_order": false,
    });
    assert_eq!(entry, Some(&expected));
    assert_eq!(json["missing"], serde_json::json!([]));
}

#[test]
fn layers_without_known_names_are_matched_by_order_on_request() {
    let graph =
        Vgg { input: [3, 8, 8], stages: vec![vec![4], vec![6, 6]], classes: 5, ..Vgg::default() };
    let graph = graph.build();
    let weights = graph.initial_weights(SEED).unwrap();
    // The places of torchvision: a pooling behind the first convolution, none behind the second.
    let places = [("stage1.0", "0", "1"), ("stage2.0", "4", "5"), ("stage2.1", "7", "8")];
    let named = |name: &str| {
        for (block, conv, norm) in places {
            for (own, place) in [(format!("{block}.conv"), conv), (format!("{block}.bn"), norm)] {
                if let Some(part) = name.strip_prefix(&format!("{own}.")) {
                    return format!("features.{place}.{part}");
                }
            }
        }
        name.replace("fc.", "classifier.")
    };
    let tensors = renamed(&weights, named);
    assert!(tensors.iter().any(|(name, _)| name == "features.8.running_var"));
    let state = state(&tensors);
    let message = imported(&graph, &state, MatchOptions::default()).unwrap_err();
    assert!(message.contains("fits the network only in part"), "{message}");
    let options = MatchOptions { by_order: true, ..MatchOptions::default() };
    let Imported { model, report } = imported(&graph, &state, options).unwrap();
    assert_eq!(model.weights(), &weights);
    let by_order = report.matched.iter().filter(|matched| matched.by_order);
    let features = tensors.iter().filter(|(name, _)| name.starts_with("features."));
    assert_eq!(by_order.count(), features.count());
}

#[test]
fn frozen_layers_at_values_that_the_graph_names_need_no_tensor() {
    let mut net = GraphBuilder::new([1, 4, 4]);
    net.conv("conv", Conv::square(4, 3, 1)).flatten("flat").linear("fc", 6).voting("vote", 3);
    let graph = net.build().unwrap();
    let weights = graph.initial_weights(SEED).unwrap();
    let mut tensors = renamed(&weights, ToString::to_string);
    tensors.retain(|(name, _)| name != "vote.weight");
    let (found, report) = weights_of(&graph, &state(&tensors), MatchOptions::default()).unwrap();
    assert_eq!(found, weights);
    assert_eq!(report.fixed, ["vote.weight"]);
}

#[test]
fn weights_must_be_floats_and_finite() {
    let (graph, weights) = resnet(5);
    let mut tensors = weights.clone();
    tensors.insert("fc.bias".into(), Tensor::I32(ArrayD::zeros(IxDyn(&[5]))));
    let message =
        imported(&graph, &state(&renamed(&tensors, torchvision)), MatchOptions::default())
            .unwrap_err();
    assert_eq!(message, "tensor `fc.bias`: expected floats for `fc.bias`, found i32");
    for value in [f32::NAN, f32::INFINITY] {
        let mut tensors = weights.clone();
        let mut stem = tensors["stem.conv.weight"].clone();
        let Tensor::F32(array) = &mut stem else { panic!() };
        array[[1, 0, 2, 2]] = value;
        tensors.insert("stem.conv.weight".into(), stem);
        let message =
            imported(&graph, &state(&renamed(&tensors, torchvision)), MatchOptions::default())
                .unwrap_err();
        assert!(message.contains("stem.conv") && message.contains("finite"), "{message}");
    }
}
