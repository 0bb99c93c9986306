//! How many commits a PostgreSQL takes from wallets that all commit at once, as fast as each gets its answers: `npm run bench`'s part
//! that no addon can do, because there the LSP would be what is measured.
//!
//! `postgres_commits <url> <wallets> <seconds> <bytes>`: sealed rows as a node has them, `bytes` in a commit, half of them a row that each
//! commit writes again (the manager) and half a row of its own (a delta), of which fifty stay. Prints JSON: how many, in how many
//! seconds, each commit's milliseconds, and what all of them cost this process (Linux tells; elsewhere 0).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "no part of the addon"
)]

use mayfly_core::config::StoreUrl;
use mayfly_core::entropy;
use mayfly_core::store::{self, Batch, Claimant, Nonce, Outcome, StoreKey, WalletId};
use std::time::Duration;
use tokio::task::LocalSet;
use tokio::time::Instant;

/// As many as a monitor has before it is written whole.
const DELTAS: usize = 50;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, url, wallets, seconds, bytes] = &args[..] else {
        panic!("usage: postgres_commits <url> <wallets> <seconds> <bytes>")
    };
    let url = StoreUrl::parse(url).expect("a store's URL");
    let [wallets, seconds, bytes] = [wallets, seconds, bytes].map(|number| number.parse::<usize>().expect("a number"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let measured = LocalSet::new().block_on(&runtime, async {
        // Claims first: none of them is measured.
        let mut claimed = Vec::new();
        for _ in 0..wallets {
            claimed.push(Wallet::claim(&url).await);
        }
        let (began, computed) = (Instant::now(), computed_ms());
        let until = began + Duration::from_secs(seconds as u64);
        let tasks: Vec<_> =
            claimed.into_iter().map(|wallet| tokio::task::spawn_local(wallet.commits(bytes / 2, until))).collect();
        let mut took = Vec::new();
        for task in tasks {
            took.extend(task.await.unwrap());
        }
        serde_json::json!({ "commits": took.len(), "seconds": began.elapsed().as_secs_f64(), "cpuMs": computed_ms() - computed, "ms": took })
    });
    println!("{measured}");
}

/// Processor time of this thread, which is the only one.
fn computed_ms() -> f64 {
    let told = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e6
}

struct Wallet {
    store: Box<dyn store::Store>,
    position: store::Position,
}

impl Wallet {
    async fn claim(url: &StoreUrl) -> Self {
        let mut store = store::open(url, WalletId(entropy::random()), &StoreKey::new(entropy::random()));
        let position = store.claim_and_load(&Claimant::of_process(std::process::id())).await.expect("a claim").position;
        Wallet { store, position }
    }

    async fn commits(mut self, half: usize, until: Instant) -> Vec<f64> {
        let mut took = Vec::new();
        while Instant::now() < until {
            let mut batch = Batch::default();
            batch.put("manager", vec![1; half]);
            batch.put(format!("delta/{:02}", took.len() % DELTAS), vec![2; half]);
            let asked = Instant::now();
            match self.store.commit(self.position, Nonce(entropy::random()), &batch).await {
                Outcome::Committed(seq) => self.position.seq = seq,
                other => panic!("{other:?}"),
            }
            took.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        self.store.release(self.position).await.expect("a release");
        took
    }
}
