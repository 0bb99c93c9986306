//! Tells LDK what happened on the chain since it last looked.
//!
//! An own sync, because a node that lives for one request starts cold each time: LDK's transaction-sync keeps its watch list
//! in memory and asks one thing after the other, about 6 + 2N round trips per start. Here the list comes from the channel
//! monitors, and what is asked is asked at once: one round when nothing happened, and none when the tip is the known one.
//!
//! What must hold:
//! - Chain order, as `lightning::chain::Confirm` wants it: unconfirmations first, then confirmations block by block upwards,
//!   then the best block. When a block makes LDK watch more (a commitment transaction's outputs), those are looked up before
//!   any later block is told, and the best block comes last: no timeout fires before the claim that answers it is known.
//! - One chain: before anything is told, the tip is read again; if it moved, everything not yet told is asked anew.
//! - A server that lags behind what we know is not a reorganisation. Unconfirming a funding transaction closes its channel,
//!   so it takes another block in the old one's place, and nothing is unconfirmed while the server's tip is below our own.
//!
//! What fails how: `CHAIN_UNAVAILABLE`, retryable; what was told until then was true, and the next sync goes on from there.

use super::esplora::{BlockStatus, Esplora, Tip};
use super::http::MAX_CONNECTIONS;
use crate::error::{Code, Error, Result};
use crate::failpoint::{self, Point};
use bitcoin::block::Header;
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Transaction, Txid};
use futures_util::stream::{self, StreamExt};
use lightning::chain::{BestBlock, Confirm};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;

/// How often the tip may move during one sync. Blocks come every ten minutes; more is a server that can't make up its mind.
const MAX_MOVES: u32 = 4;

/// How often what was found may lead to more to watch. A closed channel needs about four; a lying server gets no further.
const MAX_ROUNDS: u32 = 32;

/// How far a server's tip may lie below our own: load-balanced servers differ by a block or two. LDK takes six for final.
pub(crate) const MAX_LAG: u32 = 6;

/// Something that must not happen on the chain without LDK learning of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Watched {
    /// The confirmation of a transaction.
    Tx(Txid),
    /// The spend of an output.
    Output {
        /// The output.
        outpoint: OutPoint,
        /// Its script.
        script: ScriptBuf,
    },
}

impl Watched {
    /// What a channel monitor watches: pass `ChannelMonitor::get_outputs_to_watch()`.
    pub fn of(outputs: Vec<(Txid, Vec<(u32, ScriptBuf)>)>) -> impl Iterator<Item = Watched> {
        outputs.into_iter().flat_map(|(txid, outputs)| {
            let spends = outputs
                .into_iter()
                .map(move |(vout, script)| Watched::Output { outpoint: OutPoint { txid, vout }, script });
            std::iter::once(Watched::Tx(txid)).chain(spends)
        })
    }
}

/// A transaction that LDK wants to hear about if a reorganisation removes it, with the height and block it was told in.
pub type Relevant = (Txid, u32, Option<BlockHash>);

/// What all of them want to hear about, each once.
pub fn relevant_txids(confirmables: &[&dyn Confirm]) -> Vec<Relevant> {
    let mut all: Vec<Relevant> = confirmables.iter().flat_map(|c| c.get_relevant_txids()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Brings `confirmables` (the channel manager, the chain monitor) up to `tip`, or to a later one if it moves meanwhile;
/// returns the server's tip, which is where they are unless the server lags behind them.
///
/// `known` holds the best blocks of all that loaded: the manager's and each monitor's. `watched` reads the monitors' watch
/// lists; it is called again after each block. A sync whose tip is all that is known asks nothing.
///
/// # Errors
/// `CHAIN_UNAVAILABLE`, at the latest after `timeouts.sync`.
pub async fn sync(
    esplora: &Esplora,
    tip: Tip,
    known: &[BestBlock],
    confirmables: &[&dyn Confirm],
    watched: impl Fn() -> Vec<Watched>,
) -> Result<Tip> {
    esplora.within_sync(follow_to_rest(esplora, tip, known, confirmables, watched)).await
}

/// Follows until the tip rests.
async fn follow_to_rest(
    esplora: &Esplora,
    mut tip: Tip,
    known: &[BestBlock],
    confirmables: &[&dyn Confirm],
    watched: impl Fn() -> Vec<Watched>,
) -> Result<Tip> {
    if !known.is_empty() && known.iter().all(|best| best.block_hash == tip.hash) {
        return Ok(tip);
    }
    for _ in 0..MAX_MOVES {
        let moved_to = match follow(esplora, tip, known, confirmables, &watched).await {
            Ok(None) => return Ok(tip),
            Ok(Some(hash)) => hash,
            // Answers from before and after a new block contradict each other: then the tip is another one.
            Err(error) => match esplora.tip_hash().await {
                Ok(hash) if hash != tip.hash => hash,
                _ => return Err(error),
            },
        };
        tip = match esplora.tip_at(moved_to).await? {
            Some(tip) => tip,
            None => esplora.tip().await?,
        };
    }
    let what =
        format!("the tip moved {MAX_MOVES} times during one sync, at last to {} at height {}", tip.hash, tip.height);
    Err(esplora.contradiction("/blocks/tip/hash", what))
}

/// One sync to one tip; the new tip's hash if it moved before all was told.
async fn follow(
    esplora: &Esplora,
    tip: Tip,
    known: &[BestBlock],
    confirmables: &[&dyn Confirm],
    watched: &impl Fn() -> Vec<Watched>,
) -> Result<Option<BlockHash>> {
    let highest = known.iter().map(|best| best.height).max().unwrap_or(0);
    let lag = highest.saturating_sub(tip.height);
    if lag > MAX_LAG {
        let what = format!("its tip is at height {}, but {highest} is known: it lags behind", tip.height);
        return Err(esplora.contradiction("/blocks/tip/hash", what));
    }
    if lag > 0 {
        tracing::warn!(
            height = tip.height,
            known = highest,
            "the Esplora server lags behind: keeping the known best block"
        );
    }
    let mut plan = Plan::new(esplora, tip, lag > 0);
    let mut best_told = lag > 0;
    for _ in 0..MAX_ROUNDS {
        let new = plan.unasked(watched());
        plan.ask(&relevant_txids(confirmables), new).await?;
        if !plan.update.is_empty() {
            let hash = esplora.tip_hash().await?;
            if hash != tip.hash {
                return Ok(Some(hash));
            }
        }
        failpoint::reached(Point::MidSync);
        plan.update.tell_unconfirmed(confirmables);
        let mut more = false;
        while !more && plan.update.tell_next_block(confirmables) {
            more = plan.is_more(watched());
        }
        if !more && !best_told {
            confirmables.iter().for_each(|c| c.best_block_updated(&tip.header, tip.height));
            best_told = true;
            more = plan.is_more(watched());
        }
        if !more {
            return Ok(None);
        }
    }
    Err(Error::new(
        Code::ChainUnavailable,
        format!("the chain led to more to watch {MAX_ROUNDS} times: no end in sight; retry"),
    ))
}

/// What is to be told, in chain order.
#[derive(Debug, Default)]
pub(crate) struct Update {
    unconfirmed: Vec<Txid>,
    blocks: BTreeMap<u32, Confirmed>,
}

/// The transactions to be told of one block, by their place in it.
#[derive(Debug)]
struct Confirmed {
    header: Header,
    txs: BTreeMap<usize, Transaction>,
}

impl Update {
    fn is_empty(&self) -> bool {
        self.unconfirmed.is_empty() && self.blocks.is_empty()
    }

    /// Tells what is no longer confirmed.
    fn tell_unconfirmed(&mut self, confirmables: &[&dyn Confirm]) {
        for txid in self.unconfirmed.drain(..) {
            tracing::info!(%txid, "no longer confirmed: its block was reorganised out of the chain");
            confirmables.iter().for_each(|c| c.transaction_unconfirmed(&txid));
        }
    }

    /// Tells the lowest block, if there is one.
    fn tell_next_block(&mut self, confirmables: &[&dyn Confirm]) -> bool {
        let Some((height, block)) = self.blocks.pop_first() else {
            return false;
        };
        let txs: Vec<(usize, &Transaction)> = block.txs.iter().map(|(position, tx)| (*position, tx)).collect();
        confirmables.iter().for_each(|c| c.transactions_confirmed(&block.header, &txs, height));
        true
    }
}

/// A confirmed transaction, all of it proven but the height.
struct Found {
    height: u32,
    header: Header,
    position: usize,
    tx: Transaction,
}

/// What one sync has asked, and what it has still to tell.
pub(crate) struct Plan<'a> {
    esplora: &'a Esplora,
    tip: Tip,
    lagging: bool,
    asked: HashSet<Watched>,
    blocks_checked: bool,
    update: Update,
}

impl<'a> Plan<'a> {
    fn new(esplora: &'a Esplora, tip: Tip, lagging: bool) -> Self {
        Plan { esplora, tip, lagging, asked: HashSet::new(), blocks_checked: false, update: Update::default() }
    }

    fn is_more(&self, watched: Vec<Watched>) -> bool {
        watched.iter().any(|w| !self.asked.contains(w))
    }

    fn unasked(&self, watched: Vec<Watched>) -> Vec<Watched> {
        watched.into_iter().filter(|w| !self.asked.contains(w)).collect::<HashSet<_>>().into_iter().collect()
    }

    /// Asks for all of it at once, and adds what is found to the update.
    async fn ask(&mut self, relevant: &[Relevant], watched: Vec<Watched>) -> Result<()> {
        let told: HashSet<Txid> = relevant.iter().map(|(txid, ..)| *txid).collect();
        let to_check = if self.blocks_checked || self.lagging { &[] } else { relevant };
        let (stale, found) = {
            let this = &*self;
            let spends = all_at_once(watched.iter().map(|w| this.find(w, &told)));
            tokio::try_join!(this.stale(to_check), spends)?
        };
        self.blocks_checked = true;
        self.asked.extend(watched);
        let again = all_at_once(stale.iter().map(|txid| self.confirmed(*txid))).await?;
        self.update.unconfirmed = stale;
        for found in found.into_iter().chain(again).flatten() {
            self.add(found)?;
        }
        Ok(())
    }

    fn add(&mut self, found: Found) -> Result<()> {
        let Found { height, header, position, tx } = found;
        let block = self.update.blocks.entry(height).or_insert_with(|| Confirmed { header, txs: BTreeMap::new() });
        if block.header != header {
            let what =
                format!("two blocks at height {height}: {} and {}", block.header.block_hash(), header.block_hash());
            return Err(self.esplora.contradiction("/block/…/status", what));
        }
        block.txs.insert(position, tx);
        Ok(())
    }

    /// Those whose block is not in the best chain any more.
    async fn stale(&self, relevant: &[Relevant]) -> Result<Vec<Txid>> {
        let blocks: HashMap<BlockHash, u32> =
            relevant.iter().filter_map(|(_, height, hash)| Some(((*hash)?, *height))).collect();
        let gone: HashSet<BlockHash> = all_at_once(
            blocks.into_iter().map(|(hash, height)| async move { Ok((hash, self.is_gone(hash, height).await?)) }),
        )
        .await?
        .into_iter()
        .filter_map(|(hash, gone)| gone.then_some(hash))
        .collect();
        // LDK before 0.0.113 did not note the block: then the height decides.
        let unknown =
            all_at_once(relevant.iter().filter(|(_, _, hash)| hash.is_none()).map(|(txid, height, _)| async move {
                let there = self.confirmed(*txid).await?.is_some_and(|found| found.height == *height);
                Ok((!there).then_some(*txid))
            }))
            .await?;
        let mut stale: Vec<Txid> = relevant
            .iter()
            .filter(|(_, _, hash)| hash.is_some_and(|hash| gone.contains(&hash)))
            .map(|(txid, ..)| *txid)
            .chain(unknown.into_iter().flatten())
            .collect();
        stale.sort_unstable();
        stale.dedup();
        Ok(stale)
    }

    /// Whether a block that was in the best chain has another in its place.
    async fn is_gone(&self, hash: BlockHash, height: u32) -> Result<bool> {
        if hash == self.tip.hash || matches!(self.esplora.block_status(hash).await?, BlockStatus::Best(_)) {
            return Ok(false);
        }
        match self.esplora.block_at(height).await? {
            Some(other) if other != hash => Ok(true),
            at => {
                let what =
                    format!("block {hash} is not in the best chain, but {at:?} is in its place at height {height}");
                Err(self.esplora.contradiction("/block/…/status", what))
            }
        }
    }

    /// The confirmed transaction that a watched thing waits for, unless it was told before.
    async fn find(&self, watched: &Watched, told: &HashSet<Txid>) -> Result<Option<Found>> {
        match watched {
            Watched::Tx(txid) if told.contains(txid) => Ok(None),
            Watched::Tx(txid) => self.confirmed(*txid).await,
            Watched::Output { outpoint, .. } => {
                let Some(spend) = self.esplora.spend(*outpoint).await? else {
                    return Ok(None);
                };
                if !spend.confirmed || told.contains(&spend.txid) {
                    return Ok(None);
                }
                let Some(found) = self.confirmed(spend.txid).await? else {
                    return Ok(None);
                };
                if !found.tx.input.iter().any(|input| input.previous_output == *outpoint) {
                    let what = format!("{} is said to spend {outpoint}, but does not", spend.txid);
                    return Err(self.esplora.contradiction("/tx/…/outspend", what));
                }
                Ok(Some(found))
            }
        }
    }

    /// A transaction with its place in the best chain, up to our tip; `None` if it has none.
    async fn confirmed(&self, txid: Txid) -> Result<Option<Found>> {
        let Some(inclusion) = self.esplora.inclusion(txid).await? else {
            return Ok(None);
        };
        let hash = inclusion.header.block_hash();
        let (tx, status) = tokio::try_join!(self.esplora.transaction(txid), self.esplora.block_status(hash))?;
        let BlockStatus::Best(height) = status else {
            let what = format!("in block {hash}, which is not in the best chain");
            return Err(self.esplora.contradiction(&format!("/tx/{txid}/merkleblock-proof"), what));
        };
        let Some(tx) = tx else {
            let what = format!("unknown, but proven to be in block {hash}");
            return Err(self.esplora.contradiction(&format!("/tx/{txid}/raw"), what));
        };
        // Above our tip it belongs to the next sync.
        Ok((height <= self.tip.height).then_some(Found {
            height,
            header: inclusion.header,
            position: inclusion.position,
            tx,
        }))
    }
}

/// All answers, or the first error; as many requests at once as the client keeps connections.
pub(crate) async fn all_at_once<T>(requests: impl Iterator<Item = impl Future<Output = Result<T>>>) -> Result<Vec<T>> {
    let mut answers = stream::iter(requests).buffer_unordered(MAX_CONNECTIONS);
    let mut all = Vec::new();
    while let Some(answer) = answers.next().await {
        all.push(answer?);
    }
    Ok(all)
}
