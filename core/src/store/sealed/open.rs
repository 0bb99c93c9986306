//! Opening what a store gave back, and what is said of rows that are not what was committed.

use super::manifest::Manifest;
use super::names::{class_of_name, is_cold, Wanted, MANIFEST};
use super::seal::{Broken, Opened};
use super::Tools;
use crate::error::{shown, Code, Error, Result};
use crate::store::{Rows, Seq};
use std::collections::HashMap;

/// How much of a row's name an error shows: all of a name of ours.
const NAME_SHOWN: usize = 80;

/// Rows that opened.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Under their true keys.
    pub rows: Rows,
    /// By name, what each of those that a claim loads adds to its class's sum.
    pub sums: HashMap<String, u128>,
    /// Of these, the one of the latest commit.
    newest: Option<(Seq, String)>,
    /// What a manifest of these would be.
    pub manifest: Manifest,
}

impl Tools {
    /// The rows of a claim, whose lease row stands at that commit. `STATE_CORRUPT` unless they are what it left.
    pub(super) fn open_all(&self, rows: &Rows, at: Seq) -> Result<Found> {
        let mut found = self.open_each(rows)?;
        match (self.open_manifest(rows)?, at) {
            (None, Seq(0)) if found.sums.is_empty() => {}
            (None, Seq(0)) => return Err(corrupt("there are rows, but no commit was ever made")),
            (None, Seq(at)) => return Err(corrupt(&format!("the row `{MANIFEST}` of commit {at} is gone"))),
            (Some((manifest, seq)), at) => {
                if seq != at {
                    let (seq, at) = (seq.0, at.0);
                    return Err(corrupt(&format!("the rows are of commit {seq}, and the wallet is at commit {at}: one of the two is not what was written last")));
                }
                if let Some(problem) = manifest.problem(&found.manifest, None) {
                    return Err(corrupt(&problem));
                }
                found.manifest = manifest;
            }
        }
        Ok(found)
    }

    /// The rows of a read of those prefixes, and the manifest with them. `STATE_CORRUPT` unless they fit.
    pub(super) fn open_asked(&self, rows: &Rows, prefixes: &[&str]) -> Result<Rows> {
        let found = self.open_each(rows)?;
        let Some((manifest, seq)) = self.open_manifest(rows)? else {
            return match found.sums.is_empty() {
                true => Ok(found.rows),
                false => Err(corrupt(&format!("there are rows, and no row `{MANIFEST}`"))),
            };
        };
        if let Some((written, name)) = found.newest.filter(|(written, _)| *written > seq) {
            let (written, seq) = (written.0, seq.0);
            return Err(corrupt(&format!("row {name} is of commit {written}, and the last commit was {seq}")));
        }
        let wanted: Vec<Wanted<'_>> = prefixes.iter().map(|prefix| Wanted::of(prefix)).collect();
        let names: Vec<String> = wanted.iter().filter_map(|wanted| self.hot_class(*wanted)).collect();
        let classes: Vec<&str> = names.iter().map(|name| class_of_name(name)).collect();
        let all = wanted.contains(&Wanted::All);
        match manifest.problem(&found.manifest, (!all).then_some(&classes)) {
            Some(problem) => Err(corrupt(&problem)),
            None => Ok(found.rows),
        }
    }

    /// Rows, each for itself; the manifest is passed over.
    pub(super) fn open_each(&self, rows: &Rows) -> Result<Found> {
        let mut found = Found::default();
        for (name, stored) in rows.iter().filter(|(name, _)| *name != MANIFEST) {
            let Opened { seq, key, value } = self.open(name, stored)?;
            if !is_cold(name) {
                let sum = self.sums.of_row(name, stored);
                found.manifest.add(class_of_name(name), sum);
                found.sums.insert(name.clone(), sum);
                if found.newest.as_ref().is_none_or(|(newest, _)| *newest < seq) {
                    found.newest = Some((seq, name.clone()));
                }
            }
            found.rows.insert(key, value);
        }
        Ok(found)
    }

    fn open_manifest(&self, rows: &Rows) -> Result<Option<(Manifest, Seq)>> {
        let Some(stored) = rows.get(MANIFEST) else { return Ok(None) };
        let Opened { seq, value, .. } = self.open(MANIFEST, stored)?;
        // It opened, so we wrote it.
        let manifest = serde_json::from_slice(&value).map_err(|_| newer(MANIFEST))?;
        Ok(Some((manifest, seq)))
    }

    fn open(&self, name: &str, stored: &[u8]) -> Result<Opened> {
        self.seal.open(name, stored).map_err(|broken| match broken {
            Broken::Foreign => {
                let name = shown(name, NAME_SHOWN);
                corrupt(&format!("row {name} does not open: it was changed, or put there from another row or wallet"))
            }
            Broken::Newer(_) => newer(name),
        })
    }

    fn hot_class(&self, wanted: Wanted<'_>) -> Option<String> {
        match wanted {
            Wanted::Class { class } if !is_cold(class) => Some(self.names.class(class)),
            _ => None,
        }
    }
}

fn newer(name: &str) -> Error {
    let name = shown(name, NAME_SHOWN);
    Error::new(
        Code::StateCorrupt,
        format!("row {name} of the store was written by a newer version, or was changed; upgrade; nothing was sent or changed"),
    )
}

fn corrupt(what: &str) -> Error {
    Error::new(
        Code::StateCorrupt,
        format!(
            "the wallet's rows in the store are not what was committed: {what}. Nothing was sent or changed. Find out who changed \
             them, and put the newest back as a whole, lease and rows. Do not use an older copy while the wallet may have channels: \
             old channel state can lose money. If the newest is lost for good, an empty database and `recover: 'force-close'` give \
             the channels up"
        ),
    )
}
