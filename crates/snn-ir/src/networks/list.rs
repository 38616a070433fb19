//! The list of all built-in networks.

use super::{
    Airbench, MsResNet, Network, PlifNet, QkFormer, ResNet, SewResNet, SmallNet,
    SpikeDrivenTransformer, Vgg,
};

/// What is known of a built-in network.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name in a config (`network = { kind = … }`).
    pub kind: &'static str,
    /// The network in a few words.
    pub about: &'static str,
    /// Its default parameters.
    pub network: fn() -> Network,
    /// Shape of the samples that it is published for.
    pub input: [usize; 3],
    /// Number of classes that it is published for.
    pub classes: usize,
    /// Learned parameters of the same network in the source, for that input and those classes;
    /// `None` where the network is this project's own.
    pub published: Option<usize>,
    /// Paper or repository that has the network and its size.
    pub source: &'static str,
    /// Parameters that make a small network of the same structure, as JSON.
    pub narrow: &'static str,
    /// Shape of small samples for that.
    pub small: [usize; 3],
}

macro_rules! networks {
    ($($kind:literal, $about:literal, $network:expr, $input:expr => $classes:expr, $published:expr,
       $source:literal, $narrow:literal, $small:expr;)*) => {
        /// Every built-in network.
        pub const NETWORKS: &[Row] = &[$(Row {
            kind: $kind,
            about: $about,
            network: || $network,
            input: $input,
            classes: $classes,
            published: $published,
            source: $source,
            narrow: $narrow,
            small: $small,
        }),*];

        /// The names of all built-in networks.
        pub const KINDS: &[&str] = &[$($kind),*];
    };
}

const IMAGENET: [usize; 3] = [3, 224, 224];
const CIFAR: [usize; 3] = [3, 32, 32];
const DVS_48: [usize; 3] = [2, 48, 48];
const DVS_128: [usize; 3] = [2, 128, 128];
const N_MNIST: [usize; 3] = [2, 34, 34];

networks! {
    "resnet", "post-activation ResNet for small images, ResNet-20 by default",
        Network::ResNet(ResNet::default()), CIFAR => 10, Some(272_474),
        "He 2016 (arXiv 1512.03385), table 6: 0.27 M; with 1×1 shortcuts",
        r#"{"width": 4, "blocks": [1, 1]}"#, [3, 12, 12];
    "resnet18", "ResNet-18, stem of ImageNet or CIFAR",
        Network::ResNet(ResNet::of_18()), IMAGENET => 1000, Some(11_689_512),
        "He 2016, table 1; torchvision `resnet18`: 11,689,512 and 1.81 G",
        r#"{"width": 3, "stem": "imagenet"}"#, [3, 32, 32];
    "resnet34", "ResNet-34, stem of ImageNet or CIFAR",
        Network::ResNet(ResNet::of_34()), IMAGENET => 1000, Some(21_797_672),
        "He 2016, table 1; torchvision `resnet34`: 21,797,672 and 3.66 G",
        r#"{"width": 2, "stem": "imagenet"}"#, [3, 32, 32];
    "resnet19", "ResNet-19 as Guo et al. use it: 128-256-512, one linear layer",
        Network::ResNet(ResNet::of_19()), CIFAR => 10, Some(12_569_226),
        "yfguo91/IM-Loss `resnet19_cifar` (layers [3, 3, 2], 128 channels)",
        r#"{"width": 4}"#, [3, 12, 12];
    "resnet19_tet", "ResNet-19 of TET after tdBN: a stem of 64 channels, a layer of 256 before the \
                     classifier",
        Network::ResNet(ResNet::of_19_tet()), CIFAR => 10, Some(12_630_858),
        "brain-intelligence-lab/temporal_efficient_training `resnet19`; 12.63 M in papers",
        r#"{"width": 4, "stem_width": 2, "hidden": [8]}"#, [3, 12, 12];
    "sew_resnet18", "SEW-ResNet-18 (ADD): spikes of branch and shortcut are added",
        Network::SewResNet(SewResNet::default()), IMAGENET => 1000, Some(11_689_512),
        "Fang 2021 (arXiv 2102.04159); fangwei123456/Spike-Element-Wise-ResNet: 11.69 M",
        r#"{"width": 3, "stem": "imagenet"}"#, [3, 32, 32];
    "sew_resnet34", "SEW-ResNet-34 (ADD)",
        Network::SewResNet(SewResNet::of_34()), IMAGENET => 1000, Some(21_797_672),
        "Fang 2021 (arXiv 2102.04159); fangwei123456/Spike-Element-Wise-ResNet: 21.79 M",
        r#"{"width": 2, "stem": "imagenet"}"#, [3, 32, 32];
    "ms_resnet18", "MS-ResNet-18: sites before convolutions, shortcuts of currents",
        Network::MsResNet(MsResNet::default()), IMAGENET => 1000, Some(11_693_736),
        "Hu 2024 (arXiv 2112.08954): 11.69 M; Ariande1/MS-ResNet `resnet18`",
        r#"{"width": 3, "stem": "imagenet"}"#, [3, 32, 32];
    "ms_resnet34", "MS-ResNet-34",
        Network::MsResNet(MsResNet::of_34()), IMAGENET => 1000, Some(21_801_896),
        "Hu 2024 (arXiv 2112.08954): 21.80 M; Ariande1/MS-ResNet `resnet34`",
        r#"{"width": 2, "stem": "imagenet"}"#, [3, 32, 32];
    "vgg11", "VGG-11 with batch norm, one linear layer",
        Network::Vgg(Vgg::default()), CIFAR => 10, Some(9_231_114),
        "kuangliu/pytorch-cifar `VGG11`",
        r#"{"stages": [[4], [6], [8, 8], [8, 8], [8, 8]]}"#, [3, 32, 32];
    "vgg16", "VGG-16 with batch norm, one linear layer",
        Network::Vgg(Vgg::of_16()), CIFAR => 10, Some(14_728_266),
        "kuangliu/pytorch-cifar `VGG16`",
        r#"{"stages": [[4, 4], [6, 6], [8, 8, 8], [8, 8, 8], [8, 8, 8]]}"#, [3, 32, 32];
    "vggsnn", "VGGSNN for frames of events, average pooling",
        Network::Vgg(Vgg::of_events()), DVS_48 => 10, Some(9_271_498),
        "brain-intelligence-lab/temporal_efficient_training `VGGSNN`; 9.27 M in papers",
        r#"{"stages": [[4, 6], [6, 6], [8, 8], [8, 8]]}"#, [2, 16, 16];
    "plif_net", "PLIF-net of CIFAR-10, voting",
        Network::PlifNet(PlifNet::default()), CIFAR => 10, Some(36_718_336),
        "Fang 2021 (arXiv 2007.05785), table 1; its repository's `Cifar10Net`, leaks not counted",
        r#"{"width": 6, "hidden": 20, "votes": 3}"#, [3, 8, 8];
    "plif_net_mnist", "PLIF-net of MNIST, Fashion-MNIST and N-MNIST, voting",
        Network::PlifNet(PlifNet::of_mnist()), N_MNIST => 10, Some(17_132_288),
        "Fang 2021 (arXiv 2007.05785), table 1; its repository's `NMNISTNet`, leaks not counted",
        r#"{"width": 6, "hidden": 20, "votes": 3}"#, [2, 10, 10];
    "plif_net_dvs", "PLIF-net of CIFAR10-DVS, voting",
        Network::PlifNet(PlifNet::of_cifar10_dvs()), DVS_128 => 10, Some(4_691_200),
        "Fang 2021 (arXiv 2007.05785), table 1; spikingjelly `CIFAR10DVSNet` without linear biases",
        r#"{"width": 6, "hidden": 20, "votes": 3}"#, [2, 16, 16];
    "plif_net_gesture", "PLIF-net of DVS128 Gesture, voting",
        Network::PlifNet(PlifNet::of_gesture()), DVS_128 => 11, Some(1_698_304),
        "Fang 2021 (arXiv 2007.05785), table 1; spikingjelly `DVSGestureNet` without linear biases",
        r#"{"width": 6, "hidden": 20, "votes": 3}"#, [2, 32, 32];
    "airbench94", "airbench94: whitening, max pooling before norms without scale, Dirac",
        Network::Airbench(Airbench::default()), CIFAR => 10, Some(1_971_352),
        "Jordan 2024 (arXiv 2404.00498): 1.97 M; KellerJordan/cifar10-airbench",
        r#"{"widths": [4, 6, 6]}"#, [3, 16, 16];
    "airbench95", "airbench95: wider",
        Network::Airbench(Airbench::of_95()), CIFAR => 10, Some(4_604_440),
        "Jordan 2024 (arXiv 2404.00498); KellerJordan/cifar10-airbench `legacy/airbench95.py`",
        r#"{"widths": [4, 6, 6]}"#, [3, 16, 16];
    "airbench96", "airbench96: three convolutions a group, a shortcut around two",
        Network::Airbench(Airbench::of_96()), CIFAR => 10, Some(9_915_416),
        "Jordan 2024 (arXiv 2404.00498); KellerJordan/cifar10-airbench `legacy/airbench96.py`",
        r#"{"widths": [4, 6, 6]}"#, [3, 16, 16];
    "qkformer", "QKFormer (HST-4-384) with token Q-K attention in all three stages",
        Network::QkFormer(QkFormer::default()), CIFAR => 10, None,
        "Zhou 2024 (arXiv 2403.16552): 6.74 M with self-attention in its last stage, which has one \
         more product a block",
        r#"{"width": 16, "heads": 2, "mlp": 2}"#, [3, 8, 8];
    "spike_driven_transformer", "spike-driven transformer of two blocks of 512",
        Network::SpikeDrivenTransformer(SpikeDrivenTransformer::default()),
        CIFAR => 100, Some(10_279_588),
        "Yao 2023 (arXiv 2307.01694): 10.28 M; BICLab/Spike-Driven-Transformer, whose 128 unused \
         weights are left out",
        r#"{"width": 16, "mlp": 2}"#, [3, 8, 8];
    "small", "the demo's: a stem, max pooling, two residual blocks",
        Network::Small(SmallNet::default()), [3, 16, 16] => 10, None,
        "this project's own",
        r#"{"width": 4}"#, [3, 8, 8];
}
