//! The key from which everything that seals a wallet's rows is derived. Wiped when dropped; no `Debug` shows it.

use crate::keyed_hash::keyed_hash;
use std::fmt;
use zeroize::Zeroizing;

/// See the module's head. Of one wallet: made from its mnemonic, and from nothing else.
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl StoreKey {
    /// Of 32 bytes that nobody else knows.
    pub fn new(bytes: [u8; 32]) -> Self {
        StoreKey(Zeroizing::new(bytes))
    }

    /// A key for one purpose, which tells nothing about another purpose's.
    pub(super) fn key_for(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(keyed_hash(&self.0, &[purpose.as_bytes()]))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(hidden)")
    }
}
