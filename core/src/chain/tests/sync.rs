use super::blocks::{other, outspend, tx, Chain};
use super::server::{ok, run, Asked, Reply, Server};
use crate::chain::esplora::Esplora;
use crate::chain::sync::{sync, Watched};
use crate::chain::Tip;
use crate::error::{Code, Result};
use crate::net::dns::Resolver;
use crate::timeouts::{Timeouts, DEFAULTS};
use bitcoin::block::Header;
use bitcoin::{BlockHash, Network, OutPoint, ScriptBuf, Transaction, Txid};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BestBlock, Confirm};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Confirmed(u32, BlockHash, Vec<(usize, Txid)>),
    Unconfirmed(Txid),
    Best(u32, BlockHash),
}

/// Notes what it is told, in order, and behaves as LDK does.
#[derive(Default)]
struct Recorder {
    told: RefCell<Vec<Told>>,
    relevant: RefCell<BTreeMap<Txid, (u32, Option<BlockHash>)>>,
    watched: RefCell<Vec<Watched>>,
    /// What is watched from the moment a transaction is confirmed.
    then: BTreeMap<Txid, Vec<Watched>>,
}

impl Confirm for Recorder {
    fn transactions_confirmed(&self, header: &Header, txdata: &TransactionData, height: u32) {
        let hash = header.block_hash();
        let txs = txdata.iter().map(|(position, tx)| (*position, tx.compute_txid())).collect::<Vec<_>>();
        for (_, txid) in &txs {
            self.relevant.borrow_mut().insert(*txid, (height, Some(hash)));
            self.watched.borrow_mut().extend(self.then.get(txid).cloned().unwrap_or_default());
        }
        self.told.borrow_mut().push(Told::Confirmed(height, hash, txs));
    }

    fn transaction_unconfirmed(&self, txid: &Txid) {
        self.relevant.borrow_mut().remove(txid);
        self.told.borrow_mut().push(Told::Unconfirmed(*txid));
    }

    fn best_block_updated(&self, header: &Header, height: u32) {
        self.told.borrow_mut().push(Told::Best(height, header.block_hash()));
    }

    fn get_relevant_txids(&self) -> Vec<(Txid, u32, Option<BlockHash>)> {
        self.relevant.borrow().iter().map(|(txid, (height, hash))| (*txid, *height, *hash)).collect()
    }
}

/// A chain with its server, and what is told of it.
struct World {
    chain: Arc<Mutex<Chain>>,
    server: Server,
    esplora: Esplora,
    known: Vec<BestBlock>,
    ldk: Recorder,
}

impl World {
    async fn of(chain: Chain) -> World {
        World::with(chain, |chain, asked| chain.answer(asked)).await
    }

    /// A server that may answer otherwise than the chain says, or change it.
    async fn with(chain: Chain, answer: impl Fn(&mut Chain, &Asked) -> Reply + Send + Sync + 'static) -> World {
        let known = vec![best(chain.tip_at(0))];
        let chain = Arc::new(Mutex::new(chain));
        let shared = chain.clone();
        let server = Server::start(move |asked| answer(&mut shared.lock().unwrap(), asked)).await;
        let esplora = Esplora::new(&server.url(), Network::Regtest, &DEFAULTS, Resolver::new()).unwrap();
        World { chain, server, esplora, known, ldk: Recorder::default() }
    }

    async fn sync(&mut self) -> Result<Tip> {
        let tip = self.chain.lock().unwrap().tip();
        self.sync_to(tip).await
    }

    async fn sync_to(&mut self, tip: Tip) -> Result<Tip> {
        let watched = || self.ldk.watched.borrow().clone();
        let tip = sync(&self.esplora, tip, &self.known, &[&self.ldk], watched).await?;
        self.known = vec![best(tip)];
        Ok(tip)
    }

    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.ldk.told.borrow_mut())
    }

    fn confirmed(&self, height: usize, txs: &[(usize, &Transaction)]) -> Told {
        let hash = self.chain.lock().unwrap().hash_at(height);
        Told::Confirmed(height as u32, hash, txs.iter().map(|(position, tx)| (*position, tx.compute_txid())).collect())
    }

    fn best(&self) -> Told {
        let tip = self.chain.lock().unwrap().tip();
        Told::Best(tip.height, tip.hash)
    }

    fn unavailable(&self, result: Result<Tip>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.code, Code::ChainUnavailable, "{error}");
        error.message
    }
}

fn best(tip: Tip) -> BestBlock {
    BestBlock::new(tip.hash, tip.height)
}

fn watch_tx(tx: &Transaction) -> Watched {
    Watched::Tx(tx.compute_txid())
}

fn watch(tx: &Transaction, vout: u32) -> Watched {
    Watched::Output { outpoint: out(tx, vout), script: ScriptBuf::new() }
}

fn out(tx: &Transaction, vout: u32) -> OutPoint {
    OutPoint { txid: tx.compute_txid(), vout }
}

#[test]
fn a_known_tip_asks_nothing_and_tells_nothing() {
    run(async {
        let mut world = World::of(Chain::of(3)).await;
        world.ldk.watched.borrow_mut().push(watch_tx(&other(1)));
        let tip = world.chain.lock().unwrap().tip();
        world.known = vec![best(tip), best(tip)];
        assert_eq!(world.sync().await.unwrap(), tip);
        assert_eq!((world.told(), world.server.paths().len()), (vec![], 0));
    });
}

#[test]
fn a_monitor_that_is_behind_the_manager_is_brought_up() {
    run(async {
        let mut world = World::of(Chain::of(3)).await;
        let (tip, older) = {
            let chain = world.chain.lock().unwrap();
            (chain.tip(), chain.tip_at(1))
        };
        world.known = vec![best(tip), best(older)];
        world.sync().await.unwrap();
        assert_eq!(world.told(), [world.best()]);
    });
}

#[test]
fn new_blocks_in_which_nothing_happened_cost_one_round() {
    run(async {
        let mut world = World::of(Chain::of(3)).await;
        let funding = other(1);
        world.chain.lock().unwrap().mine(std::slice::from_ref(&funding));
        *world.ldk.watched.borrow_mut() = vec![watch_tx(&funding), watch(&funding, 0)];
        world.sync().await.unwrap();
        assert_eq!(world.told(), [world.confirmed(4, &[(1, &funding)]), world.best()]);

        world.chain.lock().unwrap().mine(&[]);
        world.server.asked.lock().unwrap().clear();
        world.sync().await.unwrap();
        assert_eq!(world.told(), [world.best()]);
        let mut paths = world.server.paths();
        paths.sort();
        let hash = world.chain.lock().unwrap().hash_at(4);
        assert_eq!(paths, [format!("/block/{hash}/status"), format!("/tx/{}/outspend/0", funding.compute_txid())]);
    });
}

#[test]
fn blocks_are_told_upwards_with_their_transactions_in_order_and_the_best_block_last() {
    run(async {
        let mut world = World::of(Chain::of(3)).await;
        let all: Vec<Transaction> = (0..6).map(other).collect();
        {
            let mut chain = world.chain.lock().unwrap();
            chain.mine(&[all[4].clone(), other(90), all[1].clone()]);
            chain.mine(&[]);
            chain.mine(&[all[0].clone()]);
            chain.mine(&[other(91), all[5].clone(), all[2].clone(), all[3].clone()]);
            chain.mine(&[]);
        }
        *world.ldk.watched.borrow_mut() = all.iter().map(watch_tx).collect();
        world.sync().await.unwrap();
        let expected = [
            world.confirmed(4, &[(1, &all[4]), (3, &all[1])]),
            world.confirmed(6, &[(1, &all[0])]),
            world.confirmed(7, &[(2, &all[5]), (3, &all[2]), (4, &all[3])]),
            world.best(),
        ];
        assert_eq!(world.told(), expected);
    });
}

#[test]
fn unconfirmed_transactions_and_spends_are_not_told() {
    run(async {
        let mut world = World::of(Chain::of(3)).await;
        let funding = other(1);
        let spend = tx(&[out(&funding, 0)], 1, 2);
        world.chain.lock().unwrap().mempool = vec![funding.clone(), spend];
        *world.ldk.watched.borrow_mut() = vec![watch_tx(&funding), watch(&funding, 0)];
        world.sync().await.unwrap();
        assert_eq!(world.told(), [world.best()]);
    });
}

#[test]
fn a_spend_makes_more_watched_and_that_is_told_before_any_later_block() {
    run(async {
        // Height 4: the funding. 5: the commitment that spends it. 6: a claim of the commitment's output, which is watched
        // only once the commitment is told. 7: a claim of the claim, in one block with something unrelated.
        let (funding, unrelated) = (other(1), other(2));
        let commitment = tx(&[out(&funding, 0)], 2, 3);
        let claim = tx(&[out(&commitment, 1)], 1, 4);
        let second = tx(&[out(&claim, 0)], 1, 5);
        let mut world = World::of(Chain::of(3)).await;
        {
            let mut chain = world.chain.lock().unwrap();
            chain.mine(std::slice::from_ref(&funding));
            chain.mine(std::slice::from_ref(&commitment));
            chain.mine(std::slice::from_ref(&claim));
            chain.mine(&[second.clone(), unrelated.clone()]);
        }
        *world.ldk.watched.borrow_mut() = vec![watch_tx(&funding), watch(&funding, 0), watch_tx(&unrelated)];
        world.ldk.then = BTreeMap::from([
            (commitment.compute_txid(), vec![watch(&commitment, 0), watch(&commitment, 1)]),
            (claim.compute_txid(), vec![watch(&claim, 0)]),
        ]);
        world.sync().await.unwrap();
        let expected = [
            world.confirmed(4, &[(1, &funding)]),
            world.confirmed(5, &[(1, &commitment)]),
            world.confirmed(6, &[(1, &claim)]),
            world.confirmed(7, &[(1, &second), (2, &unrelated)]),
            world.best(),
        ];
        assert_eq!(world.told(), expected);
    });
}

#[test]
fn a_claim_in_the_block_of_its_parent_is_told_of_the_same_block() {
    run(async {
        let funding = other(1);
        let commitment = tx(&[out(&funding, 0)], 1, 2);
        let claim = tx(&[out(&commitment, 0)], 1, 3);
        let mut world = World::of(Chain::of(3)).await;
        world.chain.lock().unwrap().mine(&[commitment.clone(), claim.clone()]);
        *world.ldk.watched.borrow_mut() = vec![watch(&funding, 0)];
        world.ldk.then = BTreeMap::from([(commitment.compute_txid(), vec![watch(&commitment, 0)])]);
        world.sync().await.unwrap();
        let expected = [world.confirmed(4, &[(1, &commitment)]), world.confirmed(4, &[(2, &claim)]), world.best()];
        assert_eq!(world.told(), expected);
    });
}

#[test]
fn what_was_told_is_not_told_again() {
    run(async {
        let funding = other(1);
        let commitment = tx(&[out(&funding, 0)], 1, 2);
        let mut world = World::of(Chain::of(3)).await;
        world.chain.lock().unwrap().mine(&[funding.clone(), commitment.clone()]);
        *world.ldk.watched.borrow_mut() = vec![watch_tx(&funding), watch(&funding, 0)];
        world.sync().await.unwrap();
        assert_eq!(world.told().len(), 2);
        world.chain.lock().unwrap().mine(&[]);
        world.sync().await.unwrap();
        assert_eq!(world.told(), [world.best()]);
    });
}

#[test]
fn a_reorganised_transaction_is_unconfirmed_first_and_told_in_its_new_block() {
    run(async {
        let (moves, vanishes, stays) = (other(1), other(2), other(3));
        let mut world = World::of(Chain::of(3)).await;
        world.chain.lock().unwrap().mine(std::slice::from_ref(&stays));
        world.chain.lock().unwrap().mine(&[moves.clone(), vanishes.clone()]);
        *world.ldk.watched.borrow_mut() = [&moves, &vanishes, &stays].map(watch_tx).to_vec();
        world.sync().await.unwrap();
        world.told();
        {
            let mut chain = world.chain.lock().unwrap();
            chain.drop_last(1);
            chain.mine(&[other(50)]);
            chain.mine(&[other(51), moves.clone()]);
        }
        world.sync().await.unwrap();
        let told = world.told();
        let mut unconfirmed = told[..2].to_vec();
        unconfirmed.sort_by_key(|told| format!("{told:?}"));
        let mut expected = [&moves, &vanishes].map(|tx| Told::Unconfirmed(tx.compute_txid())).to_vec();
        expected.sort_by_key(|told| format!("{told:?}"));
        assert_eq!(unconfirmed, expected);
        assert_eq!(told[2..], [world.confirmed(6, &[(2, &moves)]), world.best()]);
    });
}

#[test]
fn a_spend_that_a_reorganisation_replaced_is_unconfirmed_and_the_new_one_told() {
    run(async {
        let funding = other(1);
        let (first, second) = (tx(&[out(&funding, 0)], 1, 2), tx(&[out(&funding, 0)], 1, 3));
        let mut world = World::of(Chain::of(3)).await;
        world.chain.lock().unwrap().mine(std::slice::from_ref(&first));
        *world.ldk.watched.borrow_mut() = vec![watch(&funding, 0)];
        world.sync().await.unwrap();
        world.told();
        {
            let mut chain = world.chain.lock().unwrap();
            chain.drop_last(1);
            chain.mine(std::slice::from_ref(&second));
        }
        world.sync().await.unwrap();
        let expected = [Told::Unconfirmed(first.compute_txid()), world.confirmed(4, &[(1, &second)]), world.best()];
        assert_eq!(world.told(), expected);
    });
}

#[test]
fn a_transaction_whose_block_ldk_did_not_note_is_judged_by_its_height() {
    run(async {
        let (stays, moved, gone) = (other(1), other(2), other(3));
        let mut world = World::of(Chain::of(3)).await;
        world.chain.lock().unwrap().mine(std::slice::from_ref(&stays));
        world.chain.lock().unwrap().mine(std::slice::from_ref(&moved));
        *world.ldk.relevant.borrow_mut() = [&stays, &moved, &gone].map(|tx| (tx.compute_txid(), (4, None))).into();
        world.sync().await.unwrap();
        let told = world.told();
        assert!(told[..2].contains(&Told::Unconfirmed(moved.compute_txid())), "{told:?}");
        assert!(told[..2].contains(&Told::Unconfirmed(gone.compute_txid())), "{told:?}");
        assert_eq!(told[2..], [world.confirmed(5, &[(1, &moved)]), world.best()]);
    });
}

#[test]
fn a_server_that_lags_behind_is_not_a_reorganisation() {
    run(async {
        // 1. The funding is told in block 4, and block 5 is known. 2. Another server of the same service answers, at block 3.
        let funding = other(1);
        let commitment = tx(&[out(&funding, 0)], 1, 2);
        let mut world = World::of(Chain::of(2)).await;
        world.chain.lock().unwrap().mine(std::slice::from_ref(&commitment));
        world.chain.lock().unwrap().mine(std::slice::from_ref(&funding));
        world.chain.lock().unwrap().mine(&[]);
        *world.ldk.watched.borrow_mut() = vec![watch_tx(&funding)];
        world.sync().await.unwrap();
        world.told();
        world.chain.lock().unwrap().drop_last(2);
        // What it does know is told, for a monitor that is further behind.
        world.ldk.watched.borrow_mut().push(watch(&funding, 0));
        world.sync().await.unwrap();
        assert_eq!(world.told(), [world.confirmed(3, &[(1, &commitment)])]);
    });
}

#[test]
fn a_server_that_lags_far_behind_is_refused() {
    run(async {
        let mut world = World::of(Chain::of(10)).await;
        world.known = vec![best(world.chain.lock().unwrap().tip())];
        world.chain.lock().unwrap().drop_last(7);
        let result = world.sync().await;
        assert!(world.unavailable(result).contains("lags behind"));
        assert_eq!(world.told(), []);
    });
}

#[test]
fn a_block_that_is_gone_without_another_in_its_place_is_a_contradiction() {
    run(async {
        // The funding's block is said to be stale, and to be the best chain's block at its height.
        let funding = other(1);
        let mut world = World::with(Chain::of(3), |chain, asked| match asked.path.ends_with("/status") {
            true if asked.path.contains(&chain.hash_at(2).to_string()) => ok(r#"{"in_best_chain":false}"#),
            _ => chain.answer(asked),
        })
        .await;
        let hash = world.chain.lock().unwrap().hash_at(2);
        world.ldk.relevant.borrow_mut().insert(funding.compute_txid(), (2, Some(hash)));
        let result = world.sync().await;
        world.unavailable(result);
        assert_eq!(world.told(), []);
    });
}

#[test]
fn a_tip_that_moves_during_the_sync_is_followed() {
    run(async {
        // 1. The tip is block 3; the watched spend is found in it. 2. Before it is told, block 3 is replaced by two others,
        // and the spend is in the second. 3. Only that is told.
        let funding = other(1);
        let spend = tx(&[out(&funding, 0)], 1, 2);
        let mut chain = Chain::of(2);
        chain.mine(std::slice::from_ref(&spend));
        let again = spend.clone();
        let mut world = World::with(chain, move |chain, asked| {
            let answer = chain.answer(asked);
            if asked.path.ends_with("/raw") && chain.stale.is_empty() {
                chain.drop_last(1);
                chain.mine(&[]);
                chain.mine(std::slice::from_ref(&again));
            }
            answer
        })
        .await;
        *world.ldk.watched.borrow_mut() = vec![watch(&funding, 0)];
        let tip = world.sync().await.unwrap();
        assert_eq!(tip, world.chain.lock().unwrap().tip());
        assert_eq!(world.told(), [world.confirmed(4, &[(1, &spend)]), world.best()]);
    });
}

#[test]
fn a_transaction_above_the_tip_waits_for_the_next_sync() {
    run(async {
        let mut world = World::of(Chain::of(3)).await;
        let old = world.chain.lock().unwrap().tip();
        let funding = other(1);
        world.chain.lock().unwrap().mine(std::slice::from_ref(&funding));
        *world.ldk.watched.borrow_mut() = vec![watch_tx(&funding)];
        world.sync_to(old).await.unwrap();
        assert_eq!(world.told(), [Told::Best(old.height, old.hash)]);
        world.sync().await.unwrap();
        assert_eq!(world.told(), [world.confirmed(4, &[(1, &funding)]), world.best()]);
    });
}

#[test]
fn a_tip_that_never_rests_is_given_up() {
    run(async {
        let funding = other(1);
        let mut chain = Chain::of(2);
        chain.mine(std::slice::from_ref(&funding));
        let mut world = World::with(chain, |chain, asked| {
            let answer = chain.answer(asked);
            if asked.path.ends_with("/raw") {
                chain.mine(&[]);
            }
            answer
        })
        .await;
        *world.ldk.watched.borrow_mut() = vec![watch_tx(&funding)];
        let result = world.sync().await;
        assert!(world.unavailable(result).contains("the tip moved 4 times"));
        assert_eq!(world.told(), []);
    });
}

#[test]
fn a_server_that_leads_on_has_a_bound_of_its_own_for_all_requests_together() {
    run(async {
        let funding = other(1);
        let mut world = World::with(Chain::of(2), |chain, asked| match asked.path.starts_with("/tx/") {
            true => Reply::Silence,
            false => chain.answer(asked),
        })
        .await;
        *world.ldk.watched.borrow_mut() = vec![watch_tx(&funding)];
        let timeouts = Timeouts { sync: Duration::from_millis(200), ..DEFAULTS };
        world.esplora = Esplora::new(&world.server.url(), Network::Regtest, &timeouts, Resolver::new()).unwrap();
        let synced = tokio::time::timeout(DEFAULTS.chain - Duration::from_secs(1), world.sync()).await;
        let result = synced.expect("bounded by a single request only");
        assert!(world.unavailable(result).contains("within 200 ms (timeouts.syncMs)"));
        assert_eq!(world.told(), []);
    });
}

#[test]
fn a_spend_that_spends_something_else_is_refused() {
    run(async {
        let (funding, stranger) = (other(1), other(2));
        let mut chain = Chain::of(2);
        chain.mine(std::slice::from_ref(&stranger));
        let txid = stranger.compute_txid();
        let mut world = World::with(chain, move |chain, asked| match asked.path.contains("/outspend/") {
            true => ok(outspend(txid, true)),
            false => chain.answer(asked),
        })
        .await;
        *world.ldk.watched.borrow_mut() = vec![watch(&funding, 0)];
        let result = world.sync().await;
        assert!(world.unavailable(result).contains("but does not"));
        assert_eq!(world.told(), []);
    });
}

#[test]
fn a_service_that_fails_in_the_middle_leaves_only_truths_told_and_the_next_sync_goes_on() {
    run(async {
        // The commitment is told; the look at its outputs fails, twice. The best block is not told, so that the next sync asks again.
        let funding = other(1);
        let commitment = tx(&[out(&funding, 0)], 1, 2);
        let claim = tx(&[out(&commitment, 0)], 1, 3);
        let mut chain = Chain::of(2);
        chain.mine(std::slice::from_ref(&commitment));
        chain.mine(std::slice::from_ref(&claim));
        let failing = format!("/tx/{}/outspend/0", commitment.compute_txid());
        let failures = AtomicUsize::new(0);
        let mut world = World::with(chain, move |chain, asked| {
            match asked.path == failing && failures.fetch_add(1, Ordering::SeqCst) < 2 {
                true => Reply::Answer(503, Vec::new()),
                false => chain.answer(asked),
            }
        })
        .await;
        *world.ldk.watched.borrow_mut() = vec![watch(&funding, 0)];
        world.ldk.then = BTreeMap::from([(commitment.compute_txid(), vec![watch(&commitment, 0)])]);
        let result = world.sync().await;
        world.unavailable(result);
        assert_eq!(world.told(), [world.confirmed(3, &[(1, &commitment)])]);
        world.sync().await.unwrap();
        assert_eq!(world.told(), [world.confirmed(4, &[(1, &claim)]), world.best()]);
    });
}

#[test]
fn a_monitors_watch_list_is_its_transactions_and_their_outputs() {
    let (one, two) = (other(1), other(2));
    let script = ScriptBuf::from(vec![1]);
    let listed =
        vec![(one.compute_txid(), vec![(0, script.clone()), (3, script.clone())]), (two.compute_txid(), vec![])];
    let output = |vout| Watched::Output { outpoint: out(&one, vout), script: script.clone() };
    assert_eq!(Watched::of(listed).collect::<Vec<_>>(), [watch_tx(&one), output(0), output(3), watch_tx(&two)]);
}
