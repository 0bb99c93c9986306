//! The one place where randomness is drawn, from the operating system, at the moment of use: a cloned or thawed process must
//! not repeat what it drew before.

use bitcoin::secp256k1::rand::{rngs::OsRng, RngCore};

/// Fresh random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    OsRng.fill_bytes(&mut bytes);
    bytes
}
