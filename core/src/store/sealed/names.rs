//! Under which names rows are stored, so that a store can find them without learning what they are.
//!
//! A key's *class* is what stands before and with its first `/`; a key without one is a class of its own. A row is stored as
//! `hot/<class>/<row>`, or as `ledger/<class>/<row>` if a claim does not load it; class and row are keyed hashes of the class and of
//! the whole key. Rows of the dated class keep their instant in clear, `ledger/<class>/<instant>/<row>`: a store may learn times,
//! and finds the newest without reading the others.

use super::StoreKey;
use crate::keyed_hash::short_keyed_hash;
use crate::store::{COLD_PREFIX, DATED_CLASS};
use zeroize::Zeroizing;

/// The row that lists the others. Hidden names have a `/`.
pub(super) const MANIFEST: &str = "manifest";
/// Behind the last of what hexadecimal digits and `/` can make.
const LAST: char = '~';
/// Hexadecimal digits of an instant.
const INSTANT: usize = 16;

/// Hides the keys of one wallet.
pub(super) struct Names {
    key: Zeroizing<[u8; 32]>,
}

/// What one wish of a read asks of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// Every row.
    All,
    /// The rows of this class whose keys start with that.
    Class { class: &'a str },
    /// One row.
    Row,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(prefix: &'a str) -> Self {
        match class_of(prefix) {
            "" => Wanted::All,
            class if class == prefix || prefix.ends_with('/') => Wanted::Class { class },
            _ => Wanted::Row,
        }
    }
}

impl Names {
    pub(super) fn new(key: &StoreKey) -> Self {
        Names { key: key.key_for("names") }
    }

    /// The name of a row.
    pub(super) fn row(&self, key: &str) -> String {
        // 16 bytes: no two of a wallet's keys meet, however many it has.
        let row: [u8; 16] = short_keyed_hash(&self.key, &[b"row", key.as_bytes()]);
        let class = self.class(class_of(key));
        match key.starts_with(DATED_CLASS) {
            // One without an instant stands before all that have one.
            true => format!("{class}{}/{}", instant_of(key).unwrap_or_default(), hex(&row)),
            false => class + &hex(&row),
        }
    }

    /// With what the names of a class's rows start.
    pub(super) fn class(&self, class: &str) -> String {
        // 8 bytes: there are about ten classes.
        let hidden: [u8; 8] = short_keyed_hash(&self.key, &[b"class", class.as_bytes()]);
        let shelf = if is_cold(class) { COLD_PREFIX } else { "hot" };
        format!("{shelf}/{}/", hex(&hidden))
    }

    /// What to ask the store for.
    pub(super) fn selector(&self, prefix: &str) -> String {
        match Wanted::of(prefix) {
            Wanted::All => String::new(),
            Wanted::Class { class } => self.class(class),
            Wanted::Row => self.row(prefix),
        }
    }

    /// A name behind all rows of the dated class that stand before that key, and before all of a later instant; `None` if the key
    /// says nothing of the instant.
    pub(super) fn end_of_instant(&self, before: &str) -> Option<String> {
        instant_of(before).map(|instant| format!("{}{instant}/{LAST}", self.class(DATED_CLASS)))
    }
}

/// Whether a claim leaves that row where it is.
pub(super) fn is_cold(key: &str) -> bool {
    key.starts_with(COLD_PREFIX)
}

/// The class of a row that is stored under that name, for the manifest.
pub(super) fn class_of_name(name: &str) -> &str {
    name.split('/').nth(1).unwrap_or_default()
}

/// See the module's head.
pub(super) fn class_of(key: &str) -> &str {
    key.split_inclusive('/').next().unwrap_or_default()
}

/// The instant of a row of the dated class.
pub(super) fn instant_of(key: &str) -> Option<&str> {
    let (instant, _) = key.strip_prefix(DATED_CLASS)?.split_once('/')?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (instant.len() == INSTANT && instant.bytes().all(is_digit)).then_some(instant)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
