//! One sealed value: what a store keeps in place of a row's value, and what it takes to have made it.
//!
//! Stored: format (1 byte) ‖ number of the commit that wrote it (8) ‖ nonce (24) ‖ ciphertext ‖ tag (16). Within the ciphertext: the
//! length of the row's true key (4) ‖ the key ‖ the value. The cipher is XChaCha20-Poly1305; the nonce is drawn for each value, and
//! 192 bits are enough to be drawn at random for ever. Bound to it: the format, the wallet, the name under which the row is stored,
//! and the commit's number. So a value opens in no other wallet, under no other name, and with no other number.

use super::StoreKey;
use crate::entropy;
use crate::store::{Seq, WalletId};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use zeroize::Zeroize;

/// The layout above.
const FORMAT: u8 = 1;
const NONCE: usize = 24;
const TAG: usize = 16;
/// Format, number and nonce.
const HEAD: usize = 1 + 8 + NONCE;

/// Seals and opens the values of one wallet.
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
    wallet: WalletId,
}

/// A value that opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// The commit that wrote it.
    pub seq: Seq,
    /// The row's true key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// Why a value did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// Changed, put there from elsewhere, or never ours.
    Foreign,
    /// In a format of the future.
    Newer(u8),
}

impl Seal {
    pub(super) fn new(key: &StoreKey, wallet: WalletId) -> Self {
        let cipher = XChaCha20Poly1305::new((&*key.key_for("values")).into());
        Seal { cipher, wallet }
    }

    /// What to store under that name; `None` for a value too large for any cipher.
    pub(super) fn close(&self, name: &str, seq: Seq, key: &str, value: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE] = entropy::random();
        let mut stored = Vec::with_capacity(HEAD + 4 + key.len() + value.len() + TAG);
        stored.push(FORMAT);
        stored.extend(seq.0.to_be_bytes());
        stored.extend(nonce);
        stored.extend(u32::try_from(key.len()).ok()?.to_be_bytes());
        stored.extend(key.as_bytes());
        stored.extend(value);
        let (_, content) = stored.split_at_mut_checked(HEAD)?;
        let tag = self.cipher.encrypt_inout_detached(&nonce.into(), &self.bound(name, seq), content.into());
        let Ok(tag) = tag else {
            stored.zeroize();
            return None;
        };
        stored.extend(tag);
        Some(stored)
    }

    /// What was sealed under that name.
    pub(super) fn open(&self, name: &str, stored: &[u8]) -> Result<Opened, Broken> {
        match stored.first() {
            Some(&FORMAT) => {}
            Some(&newer) if newer > FORMAT => return Err(Broken::Newer(newer)),
            _ => return Err(Broken::Foreign),
        }
        self.opened(name, stored).ok_or(Broken::Foreign)
    }

    fn opened(&self, name: &str, stored: &[u8]) -> Option<Opened> {
        let (_, rest) = stored.split_first()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (content, tag) = rest.split_last_chunk::<TAG>()?;
        let seq = Seq(u64::from_be_bytes(*seq));
        let mut content = content.to_vec();
        let bound = self.bound(name, seq);
        self.cipher.decrypt_inout_detached(nonce.into(), &bound, content.as_mut_slice().into(), tag.into()).ok()?;
        let (length, rest) = content.split_first_chunk::<4>()?;
        let (key, value) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(Opened { seq, key: String::from_utf8(key.to_vec()).ok()?, value: value.to_vec() })
    }

    fn bound(&self, name: &str, seq: Seq) -> Vec<u8> {
        // All but the last have one length, so no two lists of them are the same bytes.
        [&[FORMAT], self.wallet.0.as_slice(), &seq.0.to_be_bytes(), name.as_bytes()].concat()
    }
}

/// What tells one sealed value from every other: format, number and nonce.
pub(super) fn head(stored: &[u8]) -> &[u8] {
    stored.split_at_checked(HEAD).map_or(stored, |(head, _)| head)
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
