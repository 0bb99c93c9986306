//! What was received, for good: a row per payment hash, and one per instant, so that the newest are found without a look at all.
//!
//! Both are written by the commit that holds the claim. No boot reads either, and reading needs no lease.

use crate::checkpoint::rows::{LEDGER_PREFIX, LEDGER_TIMES_PREFIX};
use crate::error::{Code, Error, Result};
use crate::store::{Batch, Store};
use serde::{Deserialize, Serialize};

/// More in one answer would hold up the thread that reads them.
pub const MAX_PAGE: u64 = 1_000;

/// A payment that was received. The ledger's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// 64 hex characters.
    pub payment_hash: String,
    /// The id of its `Received` event.
    pub payment_id: String,
    /// What arrived, net of the skim, in millisatoshi.
    pub amount_msat: u64,
    /// What the LSP kept, in millisatoshi.
    pub skimmed_msat: u64,
    /// Wall time of the claim in milliseconds since 1970.
    pub timestamp_ms: u64,
}

/// What is asked of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// The payment with that hash.
    One(String),
    /// The newest, newest first.
    Page {
        /// No more than so many.
        limit: u64,
        /// Only what was received before the payment with that hash.
        before: Option<String>,
    },
}

impl Query {
    /// `INVALID_ARGUMENT` unless it is 64 hex characters.
    pub fn one(payment_hash: &str) -> Result<Self> {
        Ok(Query::One(hash_of("paymentHash", payment_hash)?))
    }

    /// `INVALID_ARGUMENT` for a `limit` that is not 1 to [`MAX_PAGE`] or a `before` that is not 64 hex characters.
    pub fn page(limit: u64, before: Option<&str>) -> Result<Self> {
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(Error::argument("limit", format!("limit is {limit}; it must be from 1 to {MAX_PAGE}")));
        }
        Ok(Query::Page { limit, before: before.map(|hash| hash_of("before", hash)).transpose()? })
    }

    /// What the last commit holds of it.
    pub async fn answer(&self, store: &mut dyn Store) -> Result<Vec<LedgerEntry>> {
        match self {
            Query::One(hash) => Ok(find(store, hash).await?.into_iter().collect()),
            Query::Page { limit, before } => page(store, *limit, before.as_deref()).await,
        }
    }
}

impl LedgerEntry {
    /// Writes its rows into a batch.
    pub fn stage(&self, batch: &mut Batch) -> Result<()> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Error::new(Code::Internal, format!("a ledger row does not serialise: {error}")))?;
        batch.put(key(&self.payment_hash), bytes);
        batch.put(time_key(self), Vec::new());
        Ok(())
    }
}

/// The row of a payment hash.
pub fn key(payment_hash: &str) -> String {
    format!("{LEDGER_PREFIX}{payment_hash}")
}

/// Sorts by time.
fn time_key(entry: &LedgerEntry) -> String {
    format!("{LEDGER_TIMES_PREFIX}{:016x}/{}", entry.timestamp_ms, entry.payment_hash)
}

async fn find(store: &mut dyn Store, hash: &str) -> Result<Option<LedgerEntry>> {
    let key = key(hash);
    let rows = store.read(&[&key]).await?;
    rows.get(&key).map(|bytes| parse(&key, bytes)).transpose()
}

async fn page(store: &mut dyn Store, limit: u64, before: Option<&str>) -> Result<Vec<LedgerEntry>> {
    let before = match before {
        None => None,
        Some(hash) => match find(store, hash).await? {
            Some(entry) => Some(time_key(&entry)),
            None => {
                let message =
                    "before is the hash of no payment that was received: pass the last one's of the page before";
                return Err(Error::argument("before", message));
            }
        },
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let times = store.read_last(LEDGER_TIMES_PREFIX, before.as_deref(), limit).await?;
    let keys: Vec<String> = times.keys().rev().map(|time| key(time.rsplit('/').next().unwrap_or_default())).collect();
    let wanted: Vec<&str> = keys.iter().map(String::as_str).collect();
    let rows = store.read(&wanted).await?;
    keys.iter().map(|key| rows.get(key).ok_or_else(|| unreadable(key)).and_then(|bytes| parse(key, bytes))).collect()
}

fn parse(key: &str, bytes: &[u8]) -> Result<LedgerEntry> {
    serde_json::from_slice(bytes).map_err(|_| unreadable(key))
}

fn unreadable(key: &str) -> Error {
    Error::new(
        Code::StateCorrupt,
        format!("row {} of the store does not load; nothing was changed; restore the store from where it was written as a whole", crate::error::shown(key, 80)),
    )
}

fn hash_of(name: &'static str, text: &str) -> Result<String> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::argument(name, format!("{name} must be a payment hash: 64 hexadecimal characters")));
    }
    Ok(text.to_ascii_lowercase())
}
