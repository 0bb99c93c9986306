//! Makes the next block: coinbase (BIP 34), witness commitment (BIP 141), proof of work.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version as BlockVersion};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Block, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Witness,
    WitnessMerkleNode,
};

use super::rules::subsidy;

/// BIP 141: an output that starts with these bytes holds the commitment to all witnesses.
const COMMITMENT_TAG: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// BIP 141: the only value that the coinbase's witness may have today.
const WITNESS_RESERVED: [u8; 32] = [0; 32];

/// What a block is made of.
pub(super) struct Template<'a> {
    pub previous: Header,
    pub height: u32,
    pub time: u32,
    /// Differs between two blocks of one height, so that a competing block is never the same block.
    pub extra_nonce: u32,
    pub pay_to: &'a Script,
    pub fees: Amount,
    pub transactions: Vec<Transaction>,
}

pub(super) fn make_block(template: Template<'_>) -> Block {
    let mut txdata = vec![coinbase(&template)];
    txdata.extend(template.transactions);
    let mut block = Block {
        header: Header {
            // BIP 9's base version, which satisfies BIPs 34, 65 and 66.
            version: BlockVersion::from_consensus(0x2000_0000),
            prev_blockhash: template.previous.block_hash(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: template.time,
            bits: template.previous.bits,
            nonce: 0,
        },
        txdata,
    };
    // The coinbase counts as zero in the witness tree, so its own commitment doesn't change the root.
    let root = block.witness_root().unwrap_or_else(WitnessMerkleNode::all_zeros);
    let commitment = Block::compute_witness_commitment(&root, &WITNESS_RESERVED);
    let mut script = COMMITMENT_TAG.to_vec();
    script.extend_from_slice(commitment.as_ref());
    if let Some(coinbase) = block.txdata.first_mut() {
        coinbase.output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) });
    }
    block.header.merkle_root = block.compute_merkle_root().unwrap_or_else(TxMerkleNode::all_zeros);
    let target = block.header.target();
    // Regtest's target takes two tries on average.
    while block.header.validate_pow(target).is_err() {
        block.header.nonce = block.header.nonce.wrapping_add(1);
    }
    block
}

fn coinbase(template: &Template<'_>) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: coinbase_script(template.height).push_int(i64::from(template.extra_nonce)).into_script(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[WITNESS_RESERVED]),
        }],
        output: vec![TxOut { value: subsidy(template.height) + template.fees, script_pubkey: template.pay_to.into() }],
    }
}

/// BIP 34: what the coinbase's script must begin with.
pub(super) fn coinbase_script(height: u32) -> Builder {
    Builder::new().push_int(i64::from(height))
}
