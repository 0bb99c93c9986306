//! The JSON shapes of the Esplora API, as `esplora-client` 0.12 reads them.

use bitcoin::hashes::sha256;
use bitcoin::hex::DisplayHex;
use bitcoin::{Block, OutPoint, Transaction, TxOut};
use serde_json::{json, Value};

use crate::chain::{script_hash, Chain};

/// `status` of a transaction that is known: confirmed at a height or waiting.
pub(super) fn status(chain: &Chain, height: Option<u32>) -> Value {
    match height.and_then(|h| Some((h, chain.block_at(h)?))) {
        Some((height, block)) => json!({
            "confirmed": true,
            "block_height": height,
            "block_hash": block.block_hash(),
            "block_time": block.header.time,
        }),
        None => json!({ "confirmed": false }),
    }
}

/// The outputs that pay to a script, confirmed or not, and that no transaction spends, unconfirmed ones included.
pub(super) fn unspent(chain: &Chain, hash: &sha256::Hash) -> Value {
    let unconfirmed = chain.unconfirmed().map(|(tx, _)| (tx, None));
    let confirmed = chain.history(hash).into_iter().map(|(tx, height)| (tx, Some(height)));
    let outputs = unconfirmed.chain(confirmed).flat_map(|(tx, height)| {
        let txid = tx.compute_txid();
        let of_script = tx.output.iter().enumerate().filter(|(_, output)| script_hash(&output.script_pubkey) == *hash);
        of_script.map(move |(vout, output)| (OutPoint::new(txid, vout as u32), output.value, height))
    });
    let free = outputs.filter(|(outpoint, ..)| chain.spender(outpoint).is_none());
    free.map(|(OutPoint { txid, vout }, value, height)| {
        json!({ "txid": txid, "vout": vout, "status": status(chain, height), "value": value.to_sat() })
    })
    .collect()
}

pub(super) fn transaction(chain: &Chain, tx: &Transaction, height: Option<u32>) -> Value {
    let prevouts: Vec<Option<&TxOut>> = tx.input.iter().map(|i| prevout(chain, &i.previous_output)).collect();
    let value_in: u64 = prevouts.iter().flatten().map(|o| o.value.to_sat()).sum();
    let value_out: u64 = tx.output.iter().map(|o| o.value.to_sat()).sum();
    let vin: Vec<Value> = tx
        .input
        .iter()
        .zip(&prevouts)
        .map(|(input, prevout)| {
            json!({
                "txid": input.previous_output.txid,
                "vout": input.previous_output.vout,
                "prevout": prevout.map(output),
                "scriptsig": input.script_sig.to_hex_string(),
                "witness": input.witness.iter().map(|item| item.to_lower_hex_string()).collect::<Vec<_>>(),
                "sequence": input.sequence.to_consensus_u32(),
                "is_coinbase": tx.is_coinbase(),
            })
        })
        .collect();
    json!({
        "txid": tx.compute_txid(),
        "version": tx.version.0,
        "locktime": tx.lock_time.to_consensus_u32(),
        "vin": vin,
        "vout": tx.output.iter().map(output).collect::<Vec<_>>(),
        "size": tx.total_size(),
        "weight": tx.weight().to_wu(),
        "status": status(chain, height),
        // A coinbase has no inputs to pay a fee from.
        "fee": value_in.saturating_sub(value_out),
    })
}

pub(super) fn outspend(chain: &Chain, outpoint: &OutPoint) -> Value {
    let spender = chain.spender(outpoint).and_then(|(txid, vin)| Some((txid, vin, chain.transaction(&txid)?.1)));
    match spender {
        Some((txid, vin, height)) => {
            json!({ "spent": true, "txid": txid, "vin": vin, "status": status(chain, height) })
        }
        None => json!({ "spent": false }),
    }
}

pub(super) fn block(chain: &Chain, block: &Block, height: u32) -> Value {
    let header = &block.header;
    json!({
        "id": header.block_hash(),
        "height": height,
        "version": header.version.to_consensus(),
        "timestamp": header.time,
        "tx_count": block.txdata.len(),
        "size": block.total_size(),
        "weight": block.weight().to_wu(),
        "merkle_root": header.merkle_root,
        "previousblockhash": (height > 0).then_some(header.prev_blockhash),
        "mediantime": chain.median_time_past(height),
        "nonce": header.nonce,
        "bits": header.bits.to_consensus(),
        "difficulty": header.difficulty_float(),
    })
}

fn output(output: &TxOut) -> Value {
    json!({ "value": output.value.to_sat(), "scriptpubkey": output.script_pubkey.to_hex_string() })
}

fn prevout<'a>(chain: &'a Chain, outpoint: &OutPoint) -> Option<&'a TxOut> {
    chain.transaction(&outpoint.txid)?.0.output.get(outpoint.vout as usize)
}
