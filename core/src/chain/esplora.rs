//! The Esplora API, each answer checked before it is believed.
//!
//! What must hold: no answer, however wrong, panics here or in LDK behind us; a value is returned only if the checks of
//! `mod.rs` passed; "not found" is an answer only where the API says so. What fails is `CHAIN_UNAVAILABLE` with the endpoint
//! and what was wrong with its answer.

use super::freshness;
use super::http::{Answer, Http};
use crate::clock;
use crate::config::network;
use crate::error::{shown, Code, Error, Result};
use crate::lease::Lease;
use crate::net::dns::Resolver;
use crate::stats::Stats;
use crate::timeouts::Timeouts;
use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, encode::serialize_hex};
use bitcoin::constants::genesis_block;
use bitcoin::hex::FromHex;
use bitcoin::params::Params;
use bitcoin::{Amount, BlockHash, MerkleBlock, Network, OutPoint, Transaction, Txid};
use serde::de::DeserializeOwned;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Text, hex and small JSON.
const SMALL: usize = 64 * 1024;

/// How much of somebody else's words an error shows.
const SHOWN: usize = 120;

/// A transaction can't be larger than a block.
const RAW_TX: usize = 4_000_000;

/// The largest exponent of a target in any network's headers (regtest's `0x207fffff`). Beyond it the arithmetic overflows.
const MAX_TARGET_EXPONENT: u32 = 0x20;

/// Above this no chain will be for ten thousand years; heights beyond it overflow somewhere.
const MAX_HEIGHT: u32 = 499_999_999;

/// An Esplora server. Clones share its connections.
#[derive(Clone)]
pub struct Esplora {
    http: Http,
    network: Network,
    sync: Duration,
    each: Duration,
    lease: Arc<Lease>,
}

/// The end of the best chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Hash of `header`.
    pub hash: BlockHash,
    /// As the server says.
    pub height: u32,
    /// Carries its work.
    pub header: Header,
}

/// Where a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockStatus {
    /// Part of the best chain, at this height.
    Best(u32),
    /// Not part of it, or unknown to the server.
    Stale,
}

/// Proof that a transaction is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inclusion {
    /// The block's header; it carries its work.
    pub header: Header,
    /// The transaction's place in the block, from 0.
    pub position: usize,
}

/// The transaction that spends an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spend {
    /// The spending transaction.
    pub txid: Txid,
    /// Whether it is in a block of the best chain.
    pub confirmed: bool,
}

/// What became of a transaction that was sent out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broadcast {
    /// The server has it: now, or already before.
    Accepted,
    /// The server's node refused it, with its words.
    Rejected(String),
}

#[derive(Deserialize)]
struct StatusJson {
    in_best_chain: bool,
    height: Option<u32>,
}

#[derive(Deserialize)]
struct OutspendJson {
    spent: bool,
    txid: Option<String>,
    status: Option<ConfirmedJson>,
}

#[derive(Deserialize)]
struct ConfirmedJson {
    confirmed: bool,
}

impl Esplora {
    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// Counts its requests there.
    pub fn counting(self, stats: Arc<Stats>) -> Self {
        Esplora { http: self.http.counting(stats), ..self }
    }

    /// A client of the server at `url`. Opens nothing.
    ///
    /// # Errors
    /// `INVALID_OPTION` (`esploraUrl`).
    pub fn new(url: &str, network: Network, timeouts: &Timeouts, resolver: Resolver) -> Result<Esplora> {
        Ok(Esplora {
            http: Http::new(url, timeouts, resolver)?,
            network,
            sync: timeouts.sync,
            each: timeouts.chain,
            lease: Lease::of_process(),
        })
    }

    /// Hands out no transaction while that lease is not fresh.
    pub fn under(self, lease: Arc<Lease>) -> Self {
        Esplora { lease, ..self }
    }

    /// The best block of a server that is one of our network. No more rounds than `tip` takes: the question goes beside it.
    ///
    /// Work alone does not tell mainnet from testnet, and a wallet that took over another network's height would close its
    /// channels, or wait for years for its own to come.
    pub async fn tip_of_our_network(&self) -> Result<Tip> {
        let ((), tip) = tokio::try_join!(self.check_network(), self.tip())?;
        match freshness::too_old(self.network, tip.header.time, clock::now()) {
            None => Ok(tip),
            Some(age) => {
                let hours = age.as_secs() / 3_600;
                let what = format!("its newest block, at height {}, is {hours} hours old: it hangs far behind, or this machine's clock is wrong", tip.height);
                Err(self.http.unavailable("/blocks/tip/hash", what))
            }
        }
    }

    async fn check_network(&self) -> Result<()> {
        let ours = genesis_block(self.network).block_hash();
        let first = self.block_at(0).await?;
        if first == Some(ours) {
            return Ok(());
        }
        let others = [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];
        let other = others.into_iter().find(|other| Some(genesis_block(*other).block_hash()) == first);
        let what = match (other, first) {
            (Some(other), _) => format!("is a server of {}", network::name(other)),
            (None, Some(first)) => format!("begins with block {first}"),
            (None, None) => "knows no first block".to_owned(),
        };
        let wanted = network::name(self.network);
        Err(self.http.unavailable("/block-height/0", format!("{what}, but the wallet's network is {wanted}")))
    }

    /// Runs work of many requests within `timeouts.sync`: a server that answers each just in time leads nobody on.
    pub(crate) async fn within_sync<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.sync, work).await.unwrap_or_else(|_| {
            let what = format!("too slow to follow the chain within {} ms (timeouts.syncMs)", self.sync.as_millis());
            Err(self.http.unavailable("/", what))
        })
    }

    /// The best block: two rounds, or three if it changed in between.
    pub async fn tip(&self) -> Result<Tip> {
        let hash = self.tip_hash().await?;
        if let Some(tip) = self.tip_at(hash).await? {
            return Ok(tip);
        }
        let hash = self.tip_hash().await?;
        self.tip_at(hash).await?.ok_or_else(|| {
            self.http.unavailable(
                "/blocks/tip/hash",
                format!("names {hash} as its tip, and says it is not in the best chain"),
            )
        })
    }

    /// The best block's hash: one round.
    pub async fn tip_hash(&self) -> Result<BlockHash> {
        let path = "/blocks/tip/hash";
        self.text(path, &self.http.get(path, SMALL).await?)
    }

    /// The block of that hash as the tip, in one round; `None` if it is not in the best chain (any more).
    pub async fn tip_at(&self, hash: BlockHash) -> Result<Option<Tip>> {
        let (header, status) = tokio::try_join!(self.header(hash), self.block_status(hash))?;
        Ok(match status {
            BlockStatus::Best(height) => Some(Tip { hash, height, header }),
            BlockStatus::Stale => None,
        })
    }

    /// The header of a block.
    pub async fn header(&self, hash: BlockHash) -> Result<Header> {
        let path = format!("/block/{hash}/header");
        self.read_header(&path, hash, &self.http.get(&path, SMALL).await?)
    }

    pub(crate) fn read_header(&self, path: &str, hash: BlockHash, answer: &Answer) -> Result<Header> {
        let bytes = self.hex(path, answer)?;
        let header = deserialize::<Header>(&bytes).map_err(|e| {
            self.http.unavailable(path, format!("answered {} bytes that are no header: {e}", bytes.len()))
        })?;
        let got = header.block_hash();
        if got != hash {
            return Err(self.http.unavailable(path, format!("answered the header of another block, {got}")));
        }
        self.check_work(path, &header)?;
        Ok(header)
    }

    /// Whether a block is in the best chain, and where.
    pub async fn block_status(&self, hash: BlockHash) -> Result<BlockStatus> {
        let path = format!("/block/{hash}/status");
        self.read_status(&path, &self.http.get(&path, SMALL).await?)
    }

    pub(crate) fn read_status(&self, path: &str, answer: &Answer) -> Result<BlockStatus> {
        let status: StatusJson = self.json(path, answer)?;
        match (status.in_best_chain, status.height) {
            (true, Some(height)) if height <= MAX_HEIGHT => Ok(BlockStatus::Best(height)),
            (true, height) => Err(self.http.unavailable(path, format!("in the best chain at height {height:?}"))),
            (false, _) => Ok(BlockStatus::Stale),
        }
    }

    /// The best chain's block at a height; `None` above the tip.
    pub async fn block_at(&self, height: u32) -> Result<Option<BlockHash>> {
        let path = format!("/block-height/{height}");
        self.read_hash_at(&path, &self.http.get(&path, SMALL).await?)
    }

    pub(crate) fn read_hash_at(&self, path: &str, answer: &Answer) -> Result<Option<BlockHash>> {
        if answer.is_absent() {
            return Ok(None);
        }
        self.text(path, answer).map(Some)
    }

    /// The block that a transaction is in, proven; `None` while it is unconfirmed or unknown.
    pub async fn inclusion(&self, txid: Txid) -> Result<Option<Inclusion>> {
        let path = format!("/tx/{txid}/merkleblock-proof");
        self.read_inclusion(&path, txid, &self.http.get(&path, SMALL).await?)
    }

    pub(crate) fn read_inclusion(&self, path: &str, txid: Txid, answer: &Answer) -> Result<Option<Inclusion>> {
        if answer.is_absent() {
            return Ok(None);
        }
        let bytes = self.hex(path, answer)?;
        let proof = deserialize::<MerkleBlock>(&bytes).map_err(|e| {
            self.http.unavailable(path, format!("answered {} bytes that are no proof: {e}", bytes.len()))
        })?;
        self.check_work(path, &proof.header)?;
        let (mut txids, mut positions) = (Vec::new(), Vec::new());
        proof
            .extract_matches(&mut txids, &mut positions)
            .map_err(|e| self.http.unavailable(path, format!("answered a proof that proves nothing: {e}")))?;
        match (txids.as_slice(), positions.as_slice()) {
            ([proven], [position]) if *proven == txid => {
                Ok(Some(Inclusion { header: proof.header, position: *position as usize }))
            }
            (proven, _) => {
                let first = proven.first().map_or_else(|| "none".to_owned(), Txid::to_string);
                let what = format!("answered a proof for other transactions: {} of them, first {first}", proven.len());
                Err(self.http.unavailable(path, what))
            }
        }
    }

    /// A transaction; `None` if the server does not know it.
    pub async fn transaction(&self, txid: Txid) -> Result<Option<Transaction>> {
        let path = format!("/tx/{txid}/raw");
        self.read_transaction(&path, txid, &self.http.get(&path, RAW_TX).await?)
    }

    pub(crate) fn read_transaction(&self, path: &str, txid: Txid, answer: &Answer) -> Result<Option<Transaction>> {
        if answer.is_absent() {
            return Ok(None);
        }
        self.succeeded(path, answer)?;
        let tx = deserialize::<Transaction>(&answer.body).map_err(|e| {
            self.http.unavailable(path, format!("answered {} bytes that are no transaction: {e}", answer.body.len()))
        })?;
        let got = tx.compute_txid();
        if got != txid {
            return Err(self.http.unavailable(path, format!("answered another transaction, {got}")));
        }
        // LDK panics on a transaction that spends more than there is; only a made-up block can hold one.
        let total = tx.output.iter().try_fold(Amount::ZERO, |sum, out| sum.checked_add(out.value));
        if total.is_none_or(|sum| sum > Amount::MAX_MONEY) {
            return Err(self.http.unavailable(path, "answered a transaction worth more than 21 million bitcoin"));
        }
        Ok(Some(tx))
    }

    /// What spends an output; `None` if nothing does, or if the server does not know the output.
    pub async fn spend(&self, outpoint: OutPoint) -> Result<Option<Spend>> {
        let path = format!("/tx/{}/outspend/{}", outpoint.txid, outpoint.vout);
        self.read_spend(&path, &self.http.get(&path, SMALL).await?)
    }

    pub(crate) fn read_spend(&self, path: &str, answer: &Answer) -> Result<Option<Spend>> {
        if answer.is_absent() {
            return Ok(None);
        }
        let found: OutspendJson = self.json(path, answer)?;
        if !found.spent {
            return Ok(None);
        }
        let Some(Ok(txid)) = found.txid.as_deref().map(Txid::from_str) else {
            let id = found.txid.map_or_else(|| "none".to_owned(), |id| shown(&id, SHOWN));
            return Err(self.http.unavailable(path, format!("spent by what is no transaction id: {id}")));
        };
        Ok(Some(Spend { txid, confirmed: found.status.is_some_and(|s| s.confirmed) }))
    }

    /// Feerates by confirmation target (blocks), in sat/vB; not yet judged. Empty on networks without fees.
    pub async fn fee_estimates(&self) -> Result<BTreeMap<u16, f64>> {
        let path = "/fee-estimates";
        self.read_estimates(path, &self.http.get(path, SMALL).await?)
    }

    pub(crate) fn read_estimates(&self, path: &str, answer: &Answer) -> Result<BTreeMap<u16, f64>> {
        self.json(path, answer)
    }

    /// Hands a transaction to the network. One that the network already has is `Accepted`. `STORE_UNAVAILABLE`: it was not handed out,
    /// because the lease was not confirmed within the time of a request.
    pub async fn broadcast(&self, tx: &Transaction) -> Result<Broadcast> {
        let path = "/tx";
        tokio::time::timeout(self.each, self.lease.open()).await.unwrap_or_else(|_| {
            let (txid, ms) = (tx.compute_txid(), self.each.as_millis());
            let what = format!(
                "the store did not confirm this node's lease within {ms} ms, so transaction {txid} was not broadcast"
            );
            Err(Error::new(Code::StoreUnavailable, what + "; it goes out again whenever the wallet runs"))
        })?;
        self.read_broadcast(path, tx, &self.http.post(path, serialize_hex(tx), SMALL).await?)
    }

    pub(crate) fn read_broadcast(&self, path: &str, tx: &Transaction, answer: &Answer) -> Result<Broadcast> {
        if answer.is_absent() {
            return Err(self.http.unavailable(path, format!("answered 404: {}", answer.shown())));
        }
        if answer.status.is_success() {
            let txid: Txid = self.text(path, answer)?;
            if txid != tx.compute_txid() {
                return Err(self.http.unavailable(path, format!("took another transaction, {txid}")));
            }
            return Ok(Broadcast::Accepted);
        }
        let words = answer.shown();
        Ok(if is_known(&words) { Broadcast::Accepted } else { Broadcast::Rejected(words) })
    }

    fn check_work(&self, path: &str, header: &Header) -> Result<()> {
        let hash = header.block_hash();
        let bits = header.bits.to_consensus();
        let easiest = Params::new(self.network).max_attainable_target;
        if bits >> 24 > MAX_TARGET_EXPONENT || header.target() > easiest {
            let network = self.network;
            return Err(self.http.unavailable(
                path,
                format!("block {hash} is easier (bits {bits:#010x}) than {network} allows: is this a server of another network?"),
            ));
        }
        header.validate_pow(header.target()).map_err(|e| {
            self.http.unavailable(path, format!("block {hash} does not carry its work (bits {bits:#010x}): {e}"))
        })?;
        Ok(())
    }

    fn succeeded(&self, path: &str, answer: &Answer) -> Result<()> {
        if answer.status.is_success() {
            return Ok(());
        }
        Err(self.http.unavailable(path, format!("answered {}: {}", answer.status, answer.shown())))
    }

    fn text<T: FromStr>(&self, path: &str, answer: &Answer) -> Result<T> {
        self.succeeded(path, answer)?;
        std::str::from_utf8(&answer.body).ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
            self.http.unavailable(path, format!("answered {}, which is not what was asked", answer.shown()))
        })
    }

    fn hex(&self, path: &str, answer: &Answer) -> Result<Vec<u8>> {
        self.succeeded(path, answer)?;
        std::str::from_utf8(&answer.body)
            .ok()
            .and_then(|text| Vec::<u8>::from_hex(text.trim()).ok())
            .ok_or_else(|| self.http.unavailable(path, format!("answered {}, which is not hex", answer.shown())))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, path: &str, answer: &Answer) -> Result<T> {
        self.succeeded(path, answer)?;
        serde_json::from_slice(&answer.body)
            // serde repeats what it did not expect, however long.
            .map_err(|e| {
                self.http.unavailable(path, format!("answered {}: {}", answer.shown(), shown(&e.to_string(), SHOWN)))
            })
    }

    /// `CHAIN_UNAVAILABLE` for answers that contradict each other.
    pub(super) fn contradiction(&self, path: &str, what: String) -> Error {
        self.http.unavailable(path, what)
    }
}

/// Whether a refusal means that the network has the transaction: the words of Bitcoin Core's `sendrawtransaction` and of its
/// mempool, in the versions in use. Our funding and closing transactions are sent out again until they are buried.
fn is_known(words: &str) -> bool {
    const KNOWN: [&str; 6] = [
        "already known",
        "txn-already-known",
        "already-in-mempool",
        "same-nonwitness-data-in-mempool",
        "already in block chain",
        "outputs already in utxo set",
    ];
    let words = words.to_ascii_lowercase();
    KNOWN.iter().any(|known| words.contains(known))
}
