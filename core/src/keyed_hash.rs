//! HMAC-SHA256 with one way to feed it, so that no two uses of it can be taken for each other.

use bitcoin::hashes::{hmac, sha256, Hash, HashEngine, Hmac};

/// HMAC-SHA256 over the parts, each with its length before it, so that no two lists of parts hash alike.
pub(crate) fn keyed_hash(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut engine = hmac::HmacEngine::<sha256::Hash>::new(key);
    for part in parts {
        engine.input(&(part.len() as u64).to_be_bytes());
        engine.input(part);
    }
    Hmac::from_engine(engine).to_byte_array()
}

/// Its first bytes, where fewer are enough.
pub(crate) fn short_keyed_hash<const N: usize>(key: &[u8; 32], parts: &[&[u8]]) -> [u8; N] {
    let mut short = [0; N];
    short.iter_mut().zip(keyed_hash(key, parts)).for_each(|(to, from)| *to = from);
    short
}
