//! The best chain and everything derived from it: coins, indices, undo data, mempool.
//!
//! A block is checked whole (`check_block`), written to disk, then applied: a refused block or a failed write changes
//! nothing. The lab's own blocks go through the same check as replayed ones, so a bug in the miner shows when it mines.
//! What enters the mempool is decided in `admit`, which branch is the best one in `branches`.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::hashes::{sha256, Hash};
use bitcoin::{Amount, Block, BlockHash, Network, OutPoint, Script, Transaction, Txid, Weight};

use super::disk::{Disk, Saved};
use super::export::Export;
use super::mempool::Mempool;
use super::mine::{coinbase_script, make_block, Template};
use super::rules::{check_shape, check_spend, median_time_past, subsidy, Coin};
use super::{ChainError, Tip};

/// Left free in a block for its header, coinbase and transaction count.
const RESERVED_WEIGHT: Weight = Weight::from_wu(8_000);

/// What disconnecting a block has to bring back: the coins that it spent.
type Undo = Vec<(OutPoint, Coin)>;

/// A spend of an output: by which transaction, with which input.
pub type Spender = (Txid, u32);

pub struct Chain {
    pub(super) headers: Vec<Header>,
    blocks: Vec<Arc<Block>>,
    undo: Vec<Undo>,
    pub(super) height_of: HashMap<BlockHash, u32>,
    pub(super) stale: HashMap<BlockHash, Arc<Block>>,
    /// The tip that the last reorg left.
    pub(super) left: Option<BlockHash>,
    coins: HashMap<OutPoint, Coin>,
    places: HashMap<Txid, (u32, u32)>,
    spenders: HashMap<OutPoint, Spender>,
    /// By sha256 of the script: every confirmed transaction that pays to it or spends from it, in chain order.
    histories: HashMap<sha256::Hash, Vec<(u32, u32)>>,
    pub(super) mempool: Mempool,
    pub(super) disk: Option<Disk>,
    export: Option<Export>,
    clock: Option<u32>,
    pub(super) min_relay_sat_per_kvb: u64,
}

impl Chain {
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, ChainError> {
        let genesis = bitcoin::constants::genesis_block(Network::Regtest);
        let mut chain = Chain {
            headers: vec![genesis.header],
            height_of: HashMap::from([(genesis.block_hash(), 0)]),
            // The genesis coinbase is in no coin set, on any network: it can't be spent.
            blocks: vec![Arc::new(genesis)],
            undo: vec![Undo::new()],
            stale: HashMap::new(),
            left: None,
            coins: HashMap::new(),
            places: HashMap::new(),
            spenders: HashMap::new(),
            histories: HashMap::new(),
            mempool: Mempool::default(),
            disk: None,
            export: Export::from_environment()?,
            clock: None,
            min_relay_sat_per_kvb: 1_000,
        };
        if let Some(dir) = dir {
            let (disk, saved) = Disk::open(dir)?;
            chain.replay(saved)?;
            chain.disk = Some(disk);
        }
        Ok(chain)
    }

    fn replay(&mut self, saved: Saved) -> Result<(), ChainError> {
        for block in saved.blocks {
            // A reorg is saved as nothing but the new branch's blocks.
            if let Some(&fork) = self.height_of.get(&block.header.prev_blockhash) {
                while self.height() > fork {
                    self.disconnect_tip();
                }
            }
            let height = self.height() + 1;
            let undo = self.check_block(&block).map_err(|e| {
                ChainError::Storage(format!("saved block {height} is refused ({e}): delete the lab's folder"))
            })?;
            self.export(&block)?;
            self.apply(block, undo);
        }
        for tx in saved.mempool {
            let txid = tx.compute_txid();
            // Confirmed or evicted between the last two writes: the chain on disk wins.
            if let Err(e) = self.accept(tx) {
                tracing::warn!(%txid, "a saved mempool transaction is not valid any more: {e}");
            }
        }
        Ok(())
    }

    // --- reading ---

    pub fn height(&self) -> u32 {
        self.headers.len() as u32 - 1
    }

    pub fn tip(&self) -> Tip {
        let header = self.headers[self.headers.len() - 1];
        Tip { height: self.height(), hash: header.block_hash(), header }
    }

    pub fn block_at(&self, height: u32) -> Option<Arc<Block>> {
        self.blocks.get(height as usize).cloned()
    }

    /// A block of the best chain with its height, or a stale one without.
    pub fn block(&self, hash: &BlockHash) -> Option<(Arc<Block>, Option<u32>)> {
        match self.height_of.get(hash) {
            Some(&height) => Some((self.block_at(height)?, Some(height))),
            None => Some((self.stale.get(hash)?.clone(), None)),
        }
    }

    /// BIP 113's clock at `height`, in Unix seconds.
    pub fn median_time_past(&self, height: u32) -> u32 {
        median_time_past(&self.headers, height)
    }

    /// A transaction of the best chain (with its height) or of the mempool (without).
    pub fn transaction(&self, txid: &Txid) -> Option<(&Transaction, Option<u32>)> {
        match self.places.get(txid) {
            Some(&place) => Some((self.at(place)?, Some(place.0))),
            None => Some((self.mempool.get(txid)?, None)),
        }
    }

    /// Who spends `outpoint`, in the chain or in the mempool.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Spender> {
        self.spenders.get(outpoint).copied().or_else(|| self.mempool.spender(outpoint))
    }

    /// The unspent output as the next block sees it: also an unconfirmed one, and also when the mempool spends it.
    pub fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.coins.get(outpoint).cloned().or_else(|| {
            let output = self.mempool.output(outpoint)?.clone();
            Some(Coin { output, height: self.height() + 1, coinbase: false })
        })
    }

    /// Unspent outputs that pay to `script`, unconfirmed ones included, without those that the mempool spends.
    pub fn coins_of(&self, script: &Script) -> Vec<(OutPoint, Coin)> {
        let unconfirmed = self
            .mempool
            .iter()
            .flat_map(|(txid, entry)| (0..entry.tx.output.len()).map(|vout| OutPoint::new(*txid, vout as u32)));
        let confirmed = self.coins.iter().filter(|(_, c)| *c.output.script_pubkey == *script).map(|(o, _)| *o);
        confirmed
            .chain(unconfirmed)
            .filter(|outpoint| self.mempool.spender(outpoint).is_none())
            .filter_map(|outpoint| Some((outpoint, self.coin(&outpoint)?)))
            .filter(|(_, coin)| *coin.output.script_pubkey == *script)
            .collect()
    }

    /// Confirmed transactions that pay to or spend from the script with this sha256, in chain order.
    pub fn history(&self, script_hash: &sha256::Hash) -> Vec<(&Transaction, u32)> {
        let places = self.histories.get(script_hash).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|&place| Some((self.at(place)?, place.0))).collect()
    }

    /// Whether `tx` pays to or spends from the script with this sha256.
    pub fn touches(&self, tx: &Transaction, hash: &sha256::Hash) -> bool {
        let spent = tx.input.iter().filter_map(|input| {
            let (parent, _) = self.transaction(&input.previous_output.txid)?;
            parent.output.get(input.previous_output.vout as usize)
        });
        tx.output.iter().chain(spent).any(|output| script_hash(&output.script_pubkey) == *hash)
    }

    /// The mempool's transactions with their fees, parents first.
    pub fn unconfirmed(&self) -> impl DoubleEndedIterator<Item = (&Transaction, Amount)> {
        self.mempool.iter().map(|(_, entry)| (&entry.tx, entry.fee))
    }

    fn at(&self, (height, position): (u32, u32)) -> Option<&Transaction> {
        self.blocks.get(height as usize)?.txdata.get(position as usize)
    }

    // --- settings ---

    pub(super) fn set_clock(&mut self, unix_seconds: Option<u32>) {
        self.clock = unix_seconds;
    }

    pub(super) fn set_min_relay_fee(&mut self, sat_per_kvb: u64) {
        self.min_relay_sat_per_kvb = sat_per_kvb;
    }

    // --- blocks ---

    /// Mines one block, with the mempool or without, its reward to `pay_to`.
    pub(super) fn mine_one(&mut self, pay_to: &Script, with_mempool: bool) -> Result<BlockHash, ChainError> {
        let mut fees = Amount::ZERO;
        let mut weight = RESERVED_WEIGHT;
        let mut transactions = Vec::new();
        // Order of arrival is topological; the first that doesn't fit ends the block, so no child goes before its parent.
        for (_, entry) in self.mempool.iter().take_while(|_| with_mempool) {
            weight += entry.tx.weight();
            if weight > Weight::MAX_BLOCK {
                break;
            }
            fees += entry.fee;
            transactions.push(entry.tx.clone());
        }
        let tip = self.tip();
        let now = self.clock.unwrap_or_else(unix_now);
        let block = make_block(Template {
            previous: tip.header,
            height: tip.height + 1,
            time: now.max(self.median_time_past(tip.height).saturating_add(1)),
            extra_nonce: self.stale.len() as u32,
            pay_to,
            fees,
            transactions,
        });
        let hash = block.block_hash();
        self.connect(block)?;
        Ok(hash)
    }

    /// Checks a block, writes it down, and makes it the tip.
    pub(super) fn connect(&mut self, block: Block) -> Result<(), ChainError> {
        let undo = self.check_block(&block).map_err(|e| ChainError::Rejected(format!("own block refused: {e}")))?;
        if let Some(disk) = &mut self.disk {
            disk.append(&block)?;
        }
        self.export(&block)?;
        let confirms = block.txdata.len() > 1;
        self.apply(block, undo);
        if confirms {
            self.save_mempool()?;
        }
        Ok(())
    }

    fn export(&mut self, block: &Block) -> Result<(), ChainError> {
        match &mut self.export {
            Some(export) => Ok(export.append(block)?),
            None => Ok(()),
        }
    }

    /// Everything that Core checks of a block, but its signature operations. Returns the coins that it spends.
    fn check_block(&self, block: &Block) -> Result<Undo, String> {
        let tip = self.tip();
        let height = tip.height + 1;
        let header = &block.header;
        if header.prev_blockhash != tip.hash {
            return Err("prev-blk-not-found".into());
        }
        // Regtest never retargets: the genesis block's target stays.
        if header.bits != tip.header.bits || header.validate_pow(header.target()).is_err() {
            return Err("high-hash".into());
        }
        if header.time <= self.median_time_past(tip.height) {
            return Err("time-too-old".into());
        }
        if !block.check_merkle_root() {
            return Err("bad-txnmrklroot".into());
        }
        if !block.check_witness_commitment() {
            return Err("bad-witness-merkle-match".into());
        }
        if block.weight() > Weight::MAX_BLOCK {
            return Err("bad-blk-weight".into());
        }
        let Some(coinbase) = block.txdata.first().filter(|tx| tx.is_coinbase()) else {
            return Err("bad-cb-missing".into());
        };
        let starts_with_height = coinbase
            .input
            .first()
            .is_some_and(|input| input.script_sig.as_bytes().starts_with(coinbase_script(height).as_bytes()));
        if !starts_with_height {
            return Err("bad-cb-height".into());
        }
        let mut created: HashMap<OutPoint, Coin> = HashMap::new();
        let mut spent: HashSet<OutPoint> = HashSet::new();
        let mut undo = Undo::new();
        let mut allowed = subsidy(height);
        for tx in &block.txdata {
            check_shape(tx)?;
            let txid = tx.compute_txid();
            if tx.is_coinbase() != std::ptr::eq(tx, coinbase) {
                return Err("bad-cb-multiple".into());
            }
            if !tx.is_coinbase() {
                let mut coins = Vec::with_capacity(tx.input.len());
                for input in &tx.input {
                    let outpoint = input.previous_output;
                    let coin = created.get(&outpoint).or_else(|| self.coins.get(&outpoint));
                    let (Some(coin), true) = (coin, spent.insert(outpoint)) else {
                        return Err("bad-txns-inputs-missingorspent".into());
                    };
                    coins.push(coin.clone());
                    undo.push((outpoint, coin.clone()));
                }
                allowed += check_spend(tx, &coins, &self.headers)?;
            }
            for (vout, output) in tx.output.iter().enumerate() {
                let coin = Coin { output: output.clone(), height, coinbase: tx.is_coinbase() };
                created.insert(OutPoint::new(txid, vout as u32), coin);
            }
        }
        let claimed: Amount = coinbase.output.iter().map(|o| o.value).sum();
        if claimed > allowed {
            return Err(format!("bad-cb-amount, {claimed} > {allowed}"));
        }
        Ok(undo)
    }

    /// Makes a checked block the tip.
    fn apply(&mut self, block: Block, undo: Undo) {
        let height = self.height() + 1;
        let mut spent = undo.iter();
        for (position, tx) in block.txdata.iter().enumerate() {
            let txid = tx.compute_txid();
            let place = (height, position as u32);
            self.places.insert(txid, place);
            let mut touched = HashSet::new();
            // The undo list holds the inputs' coins in the order of the block.
            for (vin, (outpoint, coin)) in spent.by_ref().take(spends(tx)).enumerate() {
                self.coins.remove(outpoint);
                self.spenders.insert(*outpoint, (txid, vin as u32));
                touched.insert(script_hash(&coin.output.script_pubkey));
            }
            for (vout, output) in tx.output.iter().enumerate() {
                touched.insert(script_hash(&output.script_pubkey));
                if !output.script_pubkey.is_op_return() {
                    let coin = Coin { output: output.clone(), height, coinbase: tx.is_coinbase() };
                    self.coins.insert(OutPoint::new(txid, vout as u32), coin);
                }
            }
            for hash in touched {
                self.histories.entry(hash).or_default().push(place);
            }
        }
        self.mempool.remove(&block.txdata.iter().map(Transaction::compute_txid).collect::<Vec<_>>());
        let hash = block.block_hash();
        self.stale.remove(&hash);
        self.height_of.insert(hash, height);
        self.headers.push(block.header);
        self.blocks.push(Arc::new(block));
        self.undo.push(undo);
    }

    /// The inverse of `apply`; the genesis block stays.
    pub(super) fn disconnect_tip(&mut self) -> Option<Arc<Block>> {
        let height = self.height();
        if height == 0 {
            return None;
        }
        self.headers.pop();
        let (block, undo) = (self.blocks.pop()?, self.undo.pop()?);
        for (outpoint, coin) in undo {
            self.spenders.remove(&outpoint);
            self.forget_place(&coin.output.script_pubkey, height);
            self.coins.insert(outpoint, coin);
        }
        // After the spent coins: one that was made and spent in this block must go too.
        for tx in &block.txdata {
            let txid = tx.compute_txid();
            self.places.remove(&txid);
            for (vout, output) in tx.output.iter().enumerate() {
                self.coins.remove(&OutPoint::new(txid, vout as u32));
                self.forget_place(&output.script_pubkey, height);
            }
        }
        self.height_of.remove(&block.block_hash());
        self.stale.insert(block.block_hash(), block.clone());
        Some(block)
    }

    fn forget_place(&mut self, script: &Script, height: u32) {
        if let Some(places) = self.histories.get_mut(&script_hash(script)) {
            places.retain(|place| place.0 != height);
        }
    }
}

/// Esplora's name of a script.
pub fn script_hash(script: &Script) -> sha256::Hash {
    sha256::Hash::hash(script.as_bytes())
}

/// How many coins `tx` spends.
fn spends(tx: &Transaction) -> usize {
    if tx.is_coinbase() {
        0
    } else {
        tx.input.len()
    }
}

fn unix_now() -> u32 {
    // After 2106 headers have no room for it: then blocks count on from the median time.
    u32::try_from(mayfly_core::clock::now().as_secs()).unwrap_or(0)
}
