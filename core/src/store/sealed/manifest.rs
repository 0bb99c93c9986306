//! What was written, in one row of each commit: a row that is gone, or that an older one stands in for, opens like any other and is
//! noticed by this alone.
//!
//! It holds, for each class of rows that a claim loads, how many there are and the sum of a keyed hash of each one's name, commit number
//! and nonce. The nonce, because a commit that was refused had the same number as the one that was taken in its place, and whoever has
//! the database has seen its rows, too. A commit brings both up to date from the rows that it touches, so it costs the same however many rows there are; and a
//! reader of one class can check that class without the others.
//!
//! **Why a sum of 128 bits is enough.** Whoever wants to pass off one set of rows for another needs two sets with the same sum.
//! Nobody without the key can tell what a row adds to it, nor see the sum, which is sealed: all that is left is to put rows there and
//! to see whether the wallet loads, and each try finds the sum with one chance in 2^128. A name stands in a table once, so no row is
//! added twice.

use super::seal::head;
use super::StoreKey;
use crate::keyed_hash::short_keyed_hash;
use crate::store::Server;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Computes what rows add to a sum.
pub(super) struct Sums {
    key: Zeroizing<[u8; 32]>,
}

impl Sums {
    pub(super) fn new(key: &StoreKey) -> Self {
        Sums { key: key.key_for("manifest") }
    }

    /// What a row adds that is stored under that name.
    pub(super) fn of_row(&self, name: &str, stored: &[u8]) -> u128 {
        u128::from_be_bytes(short_keyed_hash(&self.key, &[name.as_bytes(), head(stored)]))
    }
}

/// Rows of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    rows: u64,
    sum: u128,
}

/// See the module's head.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Who took the commit.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "server")]
    pub server: Option<Server>,
    /// By class; one without rows is not there.
    classes: BTreeMap<String, Tally>,
}

impl Manifest {
    /// There is one more row, which adds that.
    pub(super) fn add(&mut self, class: &str, sum: u128) {
        let tally = self.classes.entry(class.to_owned()).or_default();
        tally.rows = tally.rows.saturating_add(1);
        tally.sum = tally.sum.wrapping_add(sum);
    }

    /// A row that added that is no more.
    pub(super) fn remove(&mut self, class: &str, sum: u128) {
        let Some(tally) = self.classes.get_mut(class) else { return };
        tally.rows = tally.rows.saturating_sub(1);
        tally.sum = tally.sum.wrapping_sub(sum);
        if tally.rows == 0 {
            self.classes.remove(class);
        }
    }

    /// What is wrong with the rows that were found, if all of those classes (`None`: of any class) were looked for.
    pub(super) fn problem(&self, found: &Manifest, classes: Option<&[&str]>) -> Option<String> {
        let asked = |class: &&String| classes.is_none_or(|classes| classes.contains(&class.as_str()));
        let differs = |class: &&String| self.classes.get(*class) != found.classes.get(*class);
        let class = self.classes.keys().chain(found.classes.keys()).filter(asked).find(differs)?;
        let rows = |manifest: &Manifest| manifest.classes.get(class).map_or(0, |tally| tally.rows);
        let (written, there) = (rows(self), rows(found));
        Some(match written.cmp(&there) {
            std::cmp::Ordering::Greater => format!("of {written} rows under hot/{class}/ only {there} are there"),
            std::cmp::Ordering::Less => {
                format!(
                    "under hot/{class}/ are {there} rows, and the last commit left {written}: deleted ones came back"
                )
            }
            std::cmp::Ordering::Equal => {
                format!("among the {there} rows under hot/{class}/ is one that the last commit did not leave there")
            }
        })
    }
}

/// [`Server`] as JSON, here and not there: what a store tells is no format.
mod server {
    use crate::store::Server;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(server: &Option<Server>, to: S) -> Result<S::Ok, S::Error> {
        server.map(|Server { system, timeline }| (system, timeline)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Server>, D::Error> {
        let server = Option::<(u64, u32)>::deserialize(from)?;
        Ok(server.map(|(system, timeline)| Server { system, timeline }))
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
