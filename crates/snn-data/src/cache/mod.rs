//! Samples that took time to make, kept in a file that every process maps into its memory.
//!
//! A cache is named by the hash of all that its samples depend on ([`Fingerprint`]): another
//! transform or another file is another cache, and none is ever stale. It is built in parallel in a
//! file of another name, piece by piece with checksums, under a lock; a process that dies leaves
//! its pieces to the next one, and only a whole file gets the name.

mod build;
mod fingerprint;
mod layout;
mod map;
mod store;

pub use fingerprint::Fingerprint;
pub use layout::{Header, read_header};
pub use map::Cached;
pub use store::{Cache, CacheEntry};
