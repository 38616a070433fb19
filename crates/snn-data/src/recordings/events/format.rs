//! Formats of recordings.

use crate::names::names;

names! {
    /// A format of recordings.
    pub enum EventFormat("format of recordings") {
        /// AEDAT 2.0 of jAER: DVS128 (CIFAR10-DVS) and DAVIS.
        Aedat2 = "aedat2",
        /// AEDAT 3.1 of cAER (DVS128 Gesture); not tried on a real file.
        Aedat3 = "aedat3",
        /// AEDAT 4 of DV.
        Aedat4 = "aedat4",
        /// The five-byte events of N-MNIST and N-Caltech101.
        NMnist = "n-mnist",
        /// Prophesee DAT.
        Dat = "dat",
        /// Prophesee EVT2.
        Evt2 = "evt2",
        /// Prophesee EVT3.
        Evt3 = "evt3",
        /// NPZ with arrays `t`, `x`, `y` and `p` or one of a record type that has such fields,
        /// under their usual names ([`ArrayNames`](super::ArrayNames)) or others that are given
        /// ([`read_npz_frames`](super::read_npz_frames) reads frames).
        Npz = "npz",
        /// Prophesee EVT 2.1, in both orders of its words.
        Evt21 = "evt2.1",
    }
}
