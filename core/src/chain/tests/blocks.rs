//! A regtest chain small enough to read, with its Esplora API.

use super::server::{ok, Asked, Reply};
use crate::chain::esplora::Tip;
use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::{serialize, serialize_hex};
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version as TxVersion;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, MerkleBlock, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness,
};

/// A transaction that spends `from` to `outputs` outputs; `tag` makes it unique.
pub fn tx(from: &[OutPoint], outputs: usize, tag: u32) -> Transaction {
    let input = |previous_output: &OutPoint| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    Transaction {
        version: TxVersion::TWO,
        lock_time: LockTime::from_consensus(tag),
        input: from.iter().map(input).collect(),
        output: (0..outputs)
            .map(|_| TxOut {
                value: Amount::from_sat(1_000),
                script_pubkey: ScriptBuf::new(),
            })
            .collect(),
    }
}

/// A transaction that spends nothing of interest.
pub fn other(tag: u32) -> Transaction {
    tx(
        &[OutPoint {
            txid: Txid::from_byte_array([7; 32]),
            vout: tag,
        }],
        2,
        tag,
    )
}

/// A block with its work.
pub fn block(previous: BlockHash, txs: &[Transaction], tag: u32) -> Block {
    let coinbase = tx(&[OutPoint::null()], 1, tag);
    let header = Header {
        version: Version::TWO,
        prev_blockhash: previous,
        merkle_root: TxMerkleNode::all_zeros(),
        time: 1_700_000_000 + tag,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let mut block = Block {
        header,
        txdata: std::iter::once(coinbase).chain(txs.iter().cloned()).collect(),
    };
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
    block
}

/// A chain, and the blocks that were reorganised out of it.
#[derive(Clone, Default)]
pub struct Chain {
    pub best: Vec<Block>,
    pub stale: Vec<Block>,
    pub mempool: Vec<Transaction>,
}

impl Chain {
    /// A chain of `height` empty blocks on a genesis.
    pub fn of(height: u32) -> Chain {
        let mut chain = Chain::default();
        (0..=height).for_each(|_| chain.mine(&[]));
        chain
    }

    pub fn mine(&mut self, txs: &[Transaction]) {
        let previous = self.best.last().map_or(BlockHash::all_zeros(), Block::block_hash);
        let tag = (self.best.len() + 1_000 * self.stale.len()) as u32;
        self.best.push(block(previous, txs, tag));
    }

    /// Drops the last blocks.
    pub fn drop_last(&mut self, count: usize) {
        let stale = self.best.split_off(self.best.len() - count);
        self.stale.extend(stale);
    }

    pub fn tip(&self) -> Tip {
        self.tip_at(self.best.len() - 1)
    }

    pub fn tip_at(&self, height: usize) -> Tip {
        let header = self.best[height].header;
        Tip {
            hash: header.block_hash(),
            height: height as u32,
            header,
        }
    }

    pub fn hash_at(&self, height: usize) -> BlockHash {
        self.best[height].block_hash()
    }

    fn find(&self, txid: &str) -> Option<(usize, &Block, &Transaction)> {
        self.best.iter().enumerate().find_map(|(height, block)| {
            let tx = block.txdata.iter().find(|tx| tx.compute_txid().to_string() == txid)?;
            Some((height, block, tx))
        })
    }

    /// As Esplora answers.
    pub fn answer(&self, asked: &Asked) -> Reply {
        let parts: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
        let absent = || Reply::Answer(404, b"not found".to_vec());
        let known = |hash: &str| {
            let best = self
                .best
                .iter()
                .enumerate()
                .map(|(height, block)| (Some(height), block));
            best.chain(self.stale.iter().map(|block| (None, block)))
                .find(|(_, block)| block.block_hash().to_string() == hash)
        };
        match parts.as_slice() {
            ["blocks", "tip", "hash"] => ok(self.tip().hash.to_string()),
            ["block", hash, "header"] => known(hash).map_or_else(absent, |(_, block)| ok(serialize_hex(&block.header))),
            ["block", hash, "status"] => match known(hash) {
                Some((Some(height), _)) => ok(format!(
                    r#"{{"in_best_chain":true,"height":{height},"next_best":null}}"#
                )),
                _ => ok(r#"{"in_best_chain":false}"#),
            },
            ["block-height", height] => {
                let block = self.best.get(height.parse::<usize>().unwrap());
                block.map_or_else(absent, |block| ok(block.block_hash().to_string()))
            }
            ["tx", txid, "merkleblock-proof"] => self
                .find(txid)
                .map_or_else(absent, |(_, block, tx)| ok(proof(block, tx))),
            ["tx", txid, "raw"] => self.find(txid).map_or_else(absent, |(_, _, tx)| ok(serialize(tx))),
            ["tx", txid, "outspend", vout] => {
                let outpoint = OutPoint {
                    txid: txid.parse().unwrap(),
                    vout: vout.parse().unwrap(),
                };
                let spends = |tx: &&Transaction| tx.input.iter().any(|input| input.previous_output == outpoint);
                let confirmed = self.best.iter().flat_map(|block| &block.txdata).find(spends);
                match confirmed
                    .map(|tx| (tx, true))
                    .or(self.mempool.iter().find(spends).map(|tx| (tx, false)))
                {
                    Some((tx, confirmed)) => ok(outspend(tx.compute_txid(), confirmed)),
                    None => ok(r#"{"spent":false}"#),
                }
            }
            _ => absent(),
        }
    }
}

pub fn proof(block: &Block, tx: &Transaction) -> String {
    let txid = tx.compute_txid();
    serialize_hex(&MerkleBlock::from_block_with_predicate(block, |t| *t == txid))
}

pub fn outspend(txid: Txid, confirmed: bool) -> String {
    format!(r#"{{"spent":true,"txid":"{txid}","vin":0,"status":{{"confirmed":{confirmed}}}}}"#)
}
