//! What a row was when it was written: SQLite notices a damaged page only if its structure is, and LDK reads many a flipped bit as
//! another state of a channel.
//!
//! Each row has a sum of its key and value beside it. The lease row has the sum of all of these that a boot loads, which is the same in
//! whatever order they are added, so that a commit brings it up to date from the rows that it touches. It sees what no row's own sum
//! can: a row that is gone, or a page that the disk has forgotten to write.
//!
//! It is a guard against disks, not against people: who can write the database can write the sums.

use crate::store::COLD_PREFIX;
use bitcoin::hashes::{sha256, Hash, HashEngine};

/// Chance does not come upon the same 16 bytes twice.
pub(super) const BYTES: usize = 16;

/// The sum of a row, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum([u8; BYTES]);

impl Sum {
    pub(super) fn of_row(key: &str, value: &[u8]) -> Self {
        let mut engine = sha256::Hash::engine();
        // The length tells a key's end from a value's beginning.
        engine.input(&(key.len() as u64).to_be_bytes());
        engine.input(key.as_bytes());
        engine.input(value);
        let mut sum = [0; BYTES];
        sum.iter_mut().zip(sha256::Hash::from_engine(engine).as_byte_array()).for_each(|(to, from)| *to = *from);
        Sum(sum)
    }

    /// Adds a row's sum; added again, it is taken out.
    pub(super) fn toggle(&mut self, other: Sum) {
        self.0.iter_mut().zip(other.0).for_each(|(here, there)| *here ^= there);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<[u8; BYTES]> for Sum {
    fn from(bytes: [u8; BYTES]) -> Self {
        Sum(bytes)
    }
}

/// Whether a boot loads that row, so that the lease's sum holds it.
pub(super) fn is_warm(key: &str) -> bool {
    !key.starts_with(COLD_PREFIX)
}
