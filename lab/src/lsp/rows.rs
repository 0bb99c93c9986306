//! What the LSP remembers beside LDK's state: a row per client's SCID and a row per HTLC that it holds, each written in the
//! same commit as what LDK did, so that neither can exist without the other.

use super::held::HeldHtlc;
use crate::node::Turn;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::channelmanager::InterceptId;
use lightning::types::payment::PaymentHash;
use mayfly_core::error::{Code, Error, Result};
use mayfly_core::store::Rows;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const SCID: &str = "scid/";
const HELD: &str = "held/";

#[derive(Serialize, Deserialize)]
struct HeldRow {
    client: PublicKey,
    payment_hash: String,
    amount_msat: u64,
    since_ms: u64,
}

/// The client of each intercept SCID.
pub(super) fn read_scids(rows: &Rows) -> Result<BTreeMap<u64, PublicKey>> {
    let mut scids = BTreeMap::new();
    for (key, client, value) in under(rows, SCID) {
        let client = client.parse().map_err(|_| unreadable(key))?;
        let scid = <[u8; 8]>::try_from(value.as_slice()).map_err(|_| unreadable(key))?;
        scids.insert(u64::from_be_bytes(scid), client);
    }
    Ok(scids)
}

pub(super) fn put_scid(turn: &mut Turn, client: &PublicKey, scid: u64) {
    turn.put(format!("{SCID}{client}"), scid.to_be_bytes().to_vec());
}

/// The HTLCs that were held at the last commit.
pub(super) fn read_held(rows: &Rows) -> Result<Vec<HeldHtlc>> {
    let mut held = Vec::new();
    for (key, id, value) in under(rows, HELD) {
        let row: HeldRow = serde_json::from_slice(value).map_err(|_| unreadable(key))?;
        held.push(HeldHtlc {
            id: InterceptId(unhex(id).ok_or_else(|| unreadable(key))?),
            client: row.client,
            payment_hash: PaymentHash(unhex(&row.payment_hash).ok_or_else(|| unreadable(key))?),
            amount_msat: row.amount_msat,
            since_ms: row.since_ms,
        });
    }
    Ok(held)
}

pub(super) fn put_held(turn: &mut Turn, htlc: &HeldHtlc) {
    let row = HeldRow {
        client: htlc.client,
        payment_hash: hex(&htlc.payment_hash.0),
        amount_msat: htlc.amount_msat,
        since_ms: htlc.since_ms,
    };
    // Strings and integers always serialise.
    turn.put(format!("{HELD}{}", hex(&htlc.id.0)), serde_json::to_vec(&row).unwrap_or_default());
}

pub(super) fn delete_held(turn: &mut Turn, id: &InterceptId) {
    turn.delete(format!("{HELD}{}", hex(&id.0)));
}

fn under<'a>(rows: &'a Rows, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a Vec<u8>)> {
    rows.iter().filter_map(move |(key, value)| Some((key.as_str(), key.strip_prefix(prefix)?, value)))
}

fn unreadable(row: &str) -> Error {
    Error::new(Code::StateCorrupt, format!("row {row} of the LSP's store does not read: delete the lab's folder"))
}

/// Lowercase hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}
