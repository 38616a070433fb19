//! Blocks of published networks that need masks, channel sums or composed shortcuts: each trains,
//! converts in three codes, and is proved bitwise by every interpreter.

use crate::frames::{All, bars, trainer_of};
use snn_hybrid::{Policy, Replacement, apply};
use snn_ir::{Code, Conv, Graph, GraphBuilder, Lif, Model, PoolKind, Site};
use snn_reparam::proof::{Batch, Demands, Verdict, prove};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_train::{Options, Outcome, evaluation_batches, input};

fn start() -> GraphBuilder {
    let mut net = GraphBuilder::new([2, 8, 8]);
    net.neuron(&Lif { threshold: 0.5.into(), ..Lif::default() });
    net.conv_site("stem", Conv::square(8, 3, 1));
    net
}

fn end(net: &mut GraphBuilder) -> Graph {
    net.conv_site("last", Conv::square(8, 3, 2)).flatten("flat").linear("fc", 3).build().unwrap()
}

/// IAND of SEW-ResNet (Fang 2021): the shortcut passes where the branch does not fire.
fn sew_iand() -> Graph {
    let mut net = start();
    net.conv_site("a", Conv::square(8, 3, 1)).conv_site("b", Conv::square(8, 3, 1));
    net.inverted_mask("out", "b.act", "stem.act");
    end(&mut net)
}

/// Q-K token attention of two heads (QKFormer, Zhou 2024): tokens of K pass where those of Q have
/// many spikes.
fn token_attention() -> Graph {
    let mut net = start();
    net.conv_site("q", Conv::square(8, 1, 1)).channel_sum("sum", 2).site("attention");
    net.at("stem.act").conv_site("k", Conv::square(8, 1, 1)).mask("qk", "attention", "k.act");
    end(&mut net)
}

/// Q-K channel attention: the same for whole channels.
fn channel_attention() -> Graph {
    let mut net = start();
    net.conv_site("q", Conv::square(8, 1, 1)).global_pool("sum", PoolKind::Sum);
    let many = Lif { threshold: 4.0.into(), ..Lif::default() };
    net.site_of("attention", Site::Lif(many));
    net.at("stem.act").conv_site("k", Conv::square(8, 1, 1)).mask("qk", "attention", "k.act");
    end(&mut net)
}

/// Spike-driven self-attention (Yao 2023): channels of V pass where K masked by Q has many spikes.
fn self_attention() -> Graph {
    let mut net = start();
    net.conv_site("q", Conv::square(8, 1, 1));
    for name in ["k", "v"] {
        net.at("stem.act").conv_site(name, Conv::square(8, 1, 1));
    }
    net.mask("qk", "q.act", "k.act").global_pool("sum", PoolKind::Sum).site("attention");
    net.mask("qkv", "attention", "v.act");
    end(&mut net)
}

/// Two blocks of MS-ResNet (Hu 2021) whose shortcuts read the stream of currents.
fn pre_activation() -> Graph {
    let mut net = start();
    net.conv_norm("first", Conv::square(8, 3, 1));
    for (name, stride) in [("one", 2), ("two", 1)] {
        let from = net.tip().to_string();
        net.site(&format!("{name}.act")).conv_norm(name, Conv::square(8, 3, stride));
        let branch = net.tip().to_string();
        let shortcut = format!("{name}.short");
        net.at(&from).conv_norm(&shortcut, Conv::square(8, 1, stride));
        net.add(&format!("{name}.add"), &[&branch, &format!("{shortcut}.bn")]);
    }
    net.site("act");
    end(&mut net)
}

#[test]
fn blocks_train_convert_in_three_codes_and_are_proved_bitwise() {
    let blocks: [(&str, fn() -> Graph); 5] = [
        ("SEW-IAND", sew_iand),
        ("token attention", token_attention),
        ("channel attention", channel_attention),
        ("self-attention", self_attention),
        ("MS-ResNet", pre_activation),
    ];
    let test = bars(48, 300);
    let batches: Vec<_> = evaluation_batches(&test, 16).unwrap().collect::<Result<_, _>>().unwrap();
    for (name, graph) in blocks {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::default();
        // Levels, which the three codes send each in another way; sites that make masks stay.
        let policy =
            Policy::Sites { include: vec!["*.act".into()], exclude: vec!["last.*".into()] };
        let (hybrid, _) = apply(&graph(), &policy, &Replacement::default()).unwrap();
        let outcome = trainer_of(hybrid, 1).fit(folder.path(), &options, &mut |_| {}).unwrap();
        assert!(matches!(outcome, Outcome::Finished(_)), "{name}: {outcome:?}");
        let trained = Model::load(folder.path().join("model.safetensors")).unwrap();
        for code in [Code::Unary, Code::BitPlane, Code::Graded] {
            let events = convert(&trained, &code.into()).unwrap().model;
            let grid = to_grid(&events, GridOptions::default()).unwrap().model;
            let demands = Demands { max_drop: 100.0, test_samples: Some(48), ..Demands::default() };
            let batches = batches.iter().map(|batch| {
                let labels = batch.targets.labels.as_slice();
                Ok::<_, snn_reparam::Error>(Batch { input: input(&batch.samples), labels })
            });
            let report = prove(&trained, &grid, &All, demands, batches).unwrap();
            assert_eq!(report.verdict, Verdict::Bitwise, "{name}, {code:?}: {:?}", report.failures);
        }
    }
}
