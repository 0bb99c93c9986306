//! Another chain than the true one, in Esplora's words.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bitcoin::block::Header;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{Network, TxMerkleNode};
use serde_json::json;

use crate::chain::SharedChain;

/// Near mainnet's, far beyond the lab's.
const OTHER_HEIGHT: u32 = 900_000;

/// A Merkle block: a header of 80 bytes, a count of 4, the number of hashes in 1, then the hashes.
const FIRST_HASH: usize = 80 + 4 + 1;

/// The true chain, and the path that is asked for.
pub(super) struct Forged {
    pub chain: SharedChain,
    pub path: String,
}

impl Forged {
    pub fn is_tip(&self) -> bool {
        self.path.starts_with("/blocks/tip/")
    }

    pub fn is_about_the_made_up_block(&self) -> bool {
        self.path.starts_with(&format!("/block/{}/", self.made_up().block_hash()))
    }

    /// The tip's hash or height, of some blocks before.
    pub fn stale_tip(&self, blocks: u32) -> String {
        let height = self.chain.height().saturating_sub(blocks);
        if self.path.ends_with("/height") {
            return height.to_string();
        }
        let block = self.chain.block_at(height);
        block.map(|block| block.block_hash().to_string()).unwrap_or_default()
    }

    /// The first block's header, whatever was asked for.
    pub fn other_header(&self) -> String {
        serialize_hex(&genesis_block(Network::Regtest).header)
    }

    /// The made-up block, as the tip.
    pub fn without_work(&self) -> String {
        let height = self.chain.height() + 1;
        let header = self.made_up();
        match self.path.rsplit('/').next() {
            Some("hash") => header.block_hash().to_string(),
            Some("height") => height.to_string(),
            Some("header") => serialize_hex(&header),
            _ => json!({ "in_best_chain": true, "height": height, "next_best": null }).to_string(),
        }
    }

    /// Mainnet's first block, far up, and nothing else: its header carries more work than the lab's network asks for.
    pub fn other_network(&self) -> Response {
        let header = genesis_block(Network::Bitcoin).header;
        let hash = header.block_hash().to_string();
        let about = format!("/block/{hash}/");
        match self.path.as_str() {
            "/blocks/tip/hash" | "/block-height/0" => hash.into_response(),
            "/blocks/tip/height" => OTHER_HEIGHT.to_string().into_response(),
            "/fee-estimates" => "{}".into_response(),
            path if path.starts_with(&about) && path.ends_with("/header") => serialize_hex(&header).into_response(),
            path if path.starts_with(&about) => {
                json!({ "in_best_chain": true, "height": OTHER_HEIGHT, "next_best": null }).to_string().into_response()
            }
            _ => (StatusCode::NOT_FOUND, "not found").into_response(),
        }
    }

    /// A block on top of the true tip whose hash does not reach its target; the same one for the same tip.
    fn made_up(&self) -> Header {
        let tip = self.chain.tip();
        let mut header = self.chain.read(|chain| match chain.block_at(tip.height) {
            Some(block) => block.header,
            None => genesis_block(Network::Regtest).header,
        });
        header.prev_blockhash = tip.hash;
        header.merkle_root = TxMerkleNode::all_zeros();
        header.nonce = 0;
        // Every second one is good enough for regtest.
        while header.validate_pow(header.target()).is_ok() {
            header.nonce += 1;
        }
        header
    }
}

/// A proof in hex, one bit of its first hash turned.
pub(super) fn changed_proof(hex: &[u8]) -> String {
    let text = std::str::from_utf8(hex).unwrap_or_default();
    let mut bytes = Vec::<u8>::from_hex(text).unwrap_or_default();
    if let Some(byte) = bytes.get_mut(FIRST_HASH) {
        *byte ^= 1;
    }
    bytes.to_lower_hex_string()
}
