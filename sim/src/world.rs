//! The chain: blocks, a mempool, reorganisations, and how a node is told of them.
//!
//! A model of what matters here: an output is spent once, locks hold (`nLockTime`, and BIP 68 in blocks), a conflict is
//! replaced by whoever pays more, a reorganisation puts transactions back. Scripts are not run: LDK signs what LDK made, and the
//! lab, whose chain runs them, sees the same code with real transactions.

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{
    absolute, transaction, Amount, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness,
};
use lightning::chain::{BestBlock, Confirm};
use mayfly_core::ldk::ChainMonitor;
use std::collections::{BTreeMap, BTreeSet};

/// Ten minutes a block.
pub const BLOCK_SECONDS: u32 = 600;
/// The time of the first block: a little before simulated time begins.
const GENESIS_SECONDS: u32 = 1_779_900_000;
/// Blocks before anything happens, so that heights are larger than any delay.
const FIRST_BLOCKS: u32 = 10;

/// One block.
#[derive(Clone)]
struct Block {
    header: Header,
    transactions: Vec<Transaction>,
}

/// See the module's head.
#[derive(Clone)]
pub struct World {
    blocks: Vec<Block>,
    mempool: Vec<Transaction>,
    /// The LSP's coins, from nothing: one per channel.
    coins: BTreeMap<OutPoint, u64>,
    /// Blocks ever made: no two are equal, also at the same height.
    made: u32,
}

impl World {
    /// A few empty blocks.
    pub fn new() -> Self {
        let mut world = World { blocks: Vec::new(), mempool: Vec::new(), coins: BTreeMap::new(), made: 0 };
        (0..=FIRST_BLOCKS).for_each(|_| world.add_block(Vec::new()));
        world
    }

    /// The height of the tip.
    pub fn height(&self) -> u32 {
        self.blocks.len() as u32 - 1
    }

    /// The tip, as LDK names it.
    pub fn best(&self) -> BestBlock {
        BestBlock::new(self.blocks[self.height() as usize].header.block_hash(), self.height())
    }

    /// A transaction that pays so much to a script, out of a coin of the LSP's.
    pub fn funding(&mut self, script: &ScriptBuf, sats: u64) -> Transaction {
        let mut name = [0xfa; 32];
        name[..4].copy_from_slice(&(self.coins.len() as u32).to_le_bytes());
        let coin = OutPoint::new(Txid::from_byte_array(name), 0);
        self.coins.insert(coin, sats);
        Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: coin,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[vec![1u8; 64]]),
            }],
            output: vec![TxOut { value: Amount::from_sat(sats), script_pubkey: script.clone() }],
        }
    }

    /// Broadcasts. `Err`: why nobody relays it. Known is success.
    pub fn submit(&mut self, tx: &Transaction) -> Result<(), String> {
        let txid = tx.compute_txid();
        if self.all().any(|(known, _)| known.compute_txid() == txid) {
            return Ok(());
        }
        let fee = self.fee(tx).ok_or("an input is missing or spent")?;
        self.final_in_next_block(tx)?;
        let spends: BTreeSet<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
        let conflicts: Vec<Txid> = self
            .mempool
            .iter()
            .filter(|other| other.input.iter().any(|input| spends.contains(&input.previous_output)))
            .map(Transaction::compute_txid)
            .collect();
        for other in &conflicts {
            let other = self.mempool.iter().find(|tx| tx.compute_txid() == *other);
            if other.and_then(|other| self.fee(other)).is_some_and(|other| other >= fee) {
                return Err("a conflict in the mempool pays as much".to_owned());
            }
        }
        conflicts.iter().for_each(|txid| self.evict(*txid));
        self.mempool.push(tx.clone());
        Ok(())
    }

    /// Mines so many blocks, the mempool in the first.
    pub fn mine(&mut self, blocks: u32) {
        for _ in 0..blocks {
            let possible = self.mempool.iter().filter(|tx| self.fee(tx).is_some()).cloned();
            let (now, later) = possible.partition(|tx| self.final_in_next_block(tx).is_ok());
            self.mempool = later;
            self.add_block(now);
        }
    }

    /// Replaces the last blocks by one more than there were. Their transactions are mined again in the first, or wait; returned
    /// are their ids.
    pub fn reorganise(&mut self, depth: u32, mine_again: bool) -> Vec<Txid> {
        let depth = depth.min(self.height() - FIRST_BLOCKS);
        let gone = self.blocks.split_off(self.blocks.len() - depth as usize);
        let mut back: Vec<Transaction> = gone.into_iter().flat_map(|block| block.transactions).collect();
        let moved = back.iter().map(Transaction::compute_txid).collect();
        back.append(&mut self.mempool);
        self.mempool = back;
        if mine_again {
            self.mine(1);
        } else {
            self.add_block(Vec::new());
        }
        (0..depth).for_each(|_| self.add_block(Vec::new()));
        moved
    }

    /// Tells a node everything up to the tip, in the order of mayfly's own chain sync: what is no longer confirmed, then
    /// block by block what it watches (looking again after each), the best block last.
    pub fn tell(&self, manager: &dyn Confirm, monitors: &ChainMonitor) {
        let confirmables: [&dyn Confirm; 2] = [manager, monitors];
        let mut relevant: Vec<_> = confirmables.iter().flat_map(|c| c.get_relevant_txids()).collect();
        relevant.sort_unstable();
        relevant.dedup();
        for (txid, height, hash) in &relevant {
            let there = self.blocks.get(*height as usize).map(|block| block.header.block_hash());
            if there != *hash {
                confirmables.iter().for_each(|c| c.transaction_unconfirmed(txid));
            }
        }
        let mut told: BTreeSet<Txid> =
            confirmables.iter().flat_map(|c| c.get_relevant_txids()).map(|(txid, ..)| txid).collect();
        while let Some(height) = self.lowest_news(monitors, &told) {
            let block = &self.blocks[height as usize];
            let watched = Watched::of(monitors);
            let news = block.transactions.iter().enumerate();
            let news: Vec<_> = news.filter(|(_, tx)| watched.wants(tx) && !told.contains(&tx.compute_txid())).collect();
            told.extend(news.iter().map(|(_, tx)| tx.compute_txid()));
            confirmables.iter().for_each(|c| c.transactions_confirmed(&block.header, &news, height));
        }
        let tip = &self.blocks[self.height() as usize];
        confirmables.iter().for_each(|c| c.best_block_updated(&tip.header, self.height()));
    }

    /// The lowest block with something that a monitor watches and was not told.
    fn lowest_news(&self, monitors: &ChainMonitor, told: &BTreeSet<Txid>) -> Option<u32> {
        let watched = Watched::of(monitors);
        let found = self.blocks.iter().position(|block| {
            block.transactions.iter().any(|tx| watched.wants(tx) && !told.contains(&tx.compute_txid()))
        });
        found.map(|height| height as u32)
    }

    /// What became of an output: the unspent outputs that its spenders, theirs and so on left, and the fees on the way. Only
    /// blocks count; an output whose spender is in none is unspent.
    pub fn leaves(&self, output: OutPoint) -> (Vec<OutPoint>, u64) {
        match self.spender(output) {
            Some((tx, Some(_))) => {
                let txid = tx.compute_txid();
                let spent: u64 = tx.input.iter().filter_map(|input| self.value(input.previous_output)).sum();
                let made: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
                let (mut leaves, mut fees) = (Vec::new(), spent - made);
                for vout in 0..tx.output.len() as u32 {
                    let (more, paid) = self.leaves(OutPoint { txid, vout });
                    leaves.extend(more);
                    fees += paid;
                }
                (leaves, fees)
            }
            _ => (vec![output], 0),
        }
    }

    /// The transaction that spends an output, and its height if it is in a block.
    pub fn spender(&self, output: OutPoint) -> Option<(&Transaction, Option<u32>)> {
        self.all().find(|(tx, _)| tx.input.iter().any(|input| input.previous_output == output))
    }

    fn all(&self) -> impl Iterator<Item = (&Transaction, Option<u32>)> {
        let mined = self.blocks.iter().enumerate();
        let mined =
            mined.flat_map(|(height, block)| block.transactions.iter().map(move |tx| (tx, Some(height as u32))));
        mined.chain(self.mempool.iter().map(|tx| (tx, None)))
    }

    /// What it leaves to the miner; `None` when an input is missing, or spent by another in a block.
    fn fee(&self, tx: &Transaction) -> Option<u64> {
        let mut left = 0u64;
        for input in &tx.input {
            let outpoint = input.previous_output;
            let spent = self.spender(outpoint);
            if spent.is_some_and(|(by, height)| height.is_some() && by.compute_txid() != tx.compute_txid()) {
                return None;
            }
            left += self.value(outpoint)?;
        }
        left.checked_sub(tx.output.iter().map(|output| output.value.to_sat()).sum())
    }

    /// What an output holds, be it spent or not.
    pub fn value(&self, outpoint: OutPoint) -> Option<u64> {
        let made = self.all().find(|(tx, _)| tx.compute_txid() == outpoint.txid);
        let made = made.and_then(|(tx, _)| tx.output.get(outpoint.vout as usize)).map(|output| output.value.to_sat());
        made.or_else(|| self.coins.get(&outpoint).copied())
    }

    /// Absolute locks by height, relative locks in blocks.
    fn final_in_next_block(&self, tx: &Transaction) -> Result<(), String> {
        let next = self.height() + 1;
        let opted_out = tx.input.iter().all(|input| input.sequence == Sequence::MAX);
        if let (absolute::LockTime::Blocks(height), false) = (tx.lock_time, opted_out) {
            if height.to_consensus_u32() >= next {
                return Err(format!("non-final before {height}"));
            }
        }
        for input in &tx.input {
            let Some(bitcoin::relative::LockTime::Blocks(wait)) = input.sequence.to_relative_lock_time() else {
                continue;
            };
            let made = self.all().find(|(tx, _)| tx.compute_txid() == input.previous_output.txid);
            let since = made.and_then(|(_, height)| height).unwrap_or(next);
            if since + u32::from(wait.value()) > next {
                return Err("non-BIP68-final".to_owned());
            }
        }
        Ok(())
    }

    /// Takes it and what spends it out of the mempool.
    fn evict(&mut self, txid: Txid) {
        self.mempool.retain(|tx| tx.compute_txid() != txid);
        let child = |tx: &&Transaction| tx.input.iter().any(|input| input.previous_output.txid == txid);
        let children: Vec<Txid> = self.mempool.iter().filter(child).map(Transaction::compute_txid).collect();
        children.into_iter().for_each(|child| self.evict(child));
    }

    fn add_block(&mut self, transactions: Vec<Transaction>) {
        self.made += 1;
        let previous = self.blocks.last().map(|block| block.header.block_hash());
        let header = Header {
            version: Version::TWO,
            prev_blockhash: previous.unwrap_or_else(BlockHash::all_zeros),
            merkle_root: TxMerkleNode::all_zeros(),
            time: GENESIS_SECONDS + self.blocks.len() as u32 * BLOCK_SECONDS,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: self.made,
        };
        self.blocks.push(Block { header, transactions });
    }
}

/// What monitors want to hear of.
struct Watched {
    transactions: BTreeSet<Txid>,
    outputs: BTreeSet<OutPoint>,
}

impl Watched {
    fn of(monitors: &ChainMonitor) -> Self {
        let ids = monitors.list_monitors();
        let watched = ids.iter().filter_map(|id| monitors.get_monitor(*id).ok().map(|m| m.get_outputs_to_watch()));
        let mut all = Watched { transactions: BTreeSet::new(), outputs: BTreeSet::new() };
        for (txid, outputs) in watched.flatten() {
            all.transactions.insert(txid);
            all.outputs.extend(outputs.iter().map(|(vout, _)| OutPoint::new(txid, *vout)));
        }
        all
    }

    fn wants(&self, tx: &Transaction) -> bool {
        let spends = tx.input.iter().any(|input| self.outputs.contains(&input.previous_output));
        spends || self.transactions.contains(&tx.compute_txid())
    }
}
