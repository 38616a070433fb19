//! Writes a network as `.nir`, with images and what it makes of them, for
//! `benches/peers/nir/compare.py`.
//!
//! ```console
//! $ cargo run -p snn-nir --example export -- random net.nir 256
//! $ cargo run -p snn-nir --example export -- model.safetensors net.nir 256 --unit
//! ```
//!
//! `random` is a small network of LIF neurons with drawn weights. Images are drawn too.

use snn_ir::{
    Conv, Evaluate, Form, GraphBuilder, Input, Lif, Model, Naive, Preprocessing, Record, Signature,
    SiteOutput,
};
use snn_nir::{ExportOptions, Gain, NirGraph};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, out, count, rest @ ..] = arguments.as_slice() else {
        return Err("usage: export MODEL|random OUT.nir IMAGES [--unit]".into());
    };
    let model = if model == "random" { random()? } else { Model::load(Path::new(model))? };
    let gain = if rest == ["--unit"] { Gain::Unit } else { Gain::Resistance };
    let options = ExportOptions { gain, ..ExportOptions::default() };
    let exported = NirGraph::from_model(&model, &options)?;
    let out = Path::new(out);
    exported.graph.write(out)?;
    for note in &exported.notes {
        eprintln!("{note}");
    }

    let count: usize = count.parse()?;
    let pixels = snn_ir::testing::pixels(&model, count, 1);
    let result = Naive::new(&model)?.evaluate(&Input::Static(pixels.view()), Record::Sites)?;
    let spikes = result.sites.iter().map(|site| {
        let sum = match &site.output {
            SiteOutput::Levels(levels) => levels.iter().map(|&level| i64::from(level)).sum(),
            SiteOutput::Values(_) => 0,
        };
        (site.site.clone(), sum)
    });
    let spikes: std::collections::BTreeMap<String, i64> = spikes.collect();
    let images = out.with_extension("raw");
    std::fs::write(&images, pixels.iter().copied().collect::<Vec<u8>>())?;
    let facts = serde_json::json!({
        "images": images.file_name().and_then(|name| name.to_str()),
        "shape": pixels.shape(),
        "classes": result.logits.argmax(),
        "spikes": spikes,
    });
    std::fs::write(out.with_extension("json"), serde_json::to_string_pretty(&facts)?)?;
    Ok(())
}

/// Three layers of LIF neurons and a linear layer; every peer has all of it.
fn random() -> Result<Model, snn_ir::Error> {
    let mut net = GraphBuilder::new([3, 16, 16]);
    net.neuron(&Lif::default());
    let conv = |channels, stride| Conv { bias: true, ..Conv::square(channels, 3, stride) };
    net.conv("conv1", conv(8, 1)).site("lif1").conv("conv2", conv(12, 2)).site("lif2");
    net.conv("conv3", conv(16, 2)).site("lif3").flatten("flatten").linear("fc", 10);
    let graph = net.build()?;
    let weights = graph.initial_weights(11)?;
    let pre = Preprocessing::new(vec![128; 3], vec![64.0; 3]);
    let model = Model::new(Signature::new(Form::Trained, graph, 8, pre), weights);
    model.validate()?;
    Ok(model)
}
