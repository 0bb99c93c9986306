//! Random commits, retries and restarts against a map.

use super::{batch, claim, nonce, Place};
use mayfly_core::entropy;
use mayfly_core::store::{Batch, Epoch, Nonce, Outcome, Position, Rows, Seq, COLD_PREFIX};

/// A reproducible stream of small numbers.
struct Dice(u64);

impl Dice {
    /// A number below `sides` (SplitMix64).
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

pub async fn random_commits_match_a_model(place: &impl Place) {
    #[allow(clippy::disallowed_methods, reason = "a test is rerun with the seed that it printed")]
    let seed = match std::env::var("MAYFLY_SEED") {
        Ok(seed) => seed.parse().expect("MAYFLY_SEED is a number"),
        Err(_) => u64::from_be_bytes(entropy::random()),
    };
    println!("rerun with MAYFLY_SEED={seed} cargo test -p mayfly-core --test store_conformance random_commits");
    let mut dice = Dice(seed);
    let mut model = Rows::new();
    let mut store = place();
    let mut at = claim(&mut *store).await.position;
    let mut last: Option<(Position, Nonce, Batch)> = None;
    for step in 0..150 {
        match dice.roll(10) {
            // Let go and come back.
            0 => {
                if dice.roll(2) == 0 || store.ttl().is_some() {
                    store.release(at).await.unwrap();
                }
                store = place();
                let snapshot = claim(&mut *store).await;
                assert_eq!(
                    snapshot.position,
                    Position { epoch: Epoch(at.epoch.0 + 1), ..at },
                    "seed {seed}, step {step}"
                );
                let hot = |(key, _): &(&String, &Vec<u8>)| !key.starts_with(COLD_PREFIX);
                let hot: Rows = model.iter().filter(hot).map(|(key, value)| (key.clone(), value.clone())).collect();
                assert!(snapshot.rows == hot, "seed {seed}, step {step}");
                at = snapshot.position;
            }
            // The last commit once more: known under its own epoch, fenced under a newer one.
            1 => {
                if let Some((position, nonce, change)) = &last {
                    let again = store.commit(*position, *nonce, change).await;
                    let expected =
                        if position.epoch == at.epoch { Outcome::Committed(at.seq) } else { Outcome::Fenced };
                    assert_eq!(again, expected, "seed {seed}, step {step}");
                }
            }
            // A commit somewhere else.
            2 => {
                let seq = Seq(at.seq.0 + 1 + dice.roll(3));
                let refused = store.commit(Position { seq, ..at }, nonce(), &batch(&[("x", b"wrong")])).await;
                assert_eq!(refused, Outcome::Fenced, "seed {seed}, step {step}");
            }
            3 => assert!(place().read(&[""]).await.unwrap() == model, "seed {seed}, step {step}"),
            _ => {
                let (name, mut change) = (nonce(), Batch::default());
                for _ in 0..dice.roll(6) {
                    let key = format!("{}{}", ["", "a/", COLD_PREFIX][dice.roll(3) as usize], dice.roll(12));
                    if dice.roll(3) == 0 {
                        change.delete(key);
                    } else {
                        let length = [3, 50, 5_000, 70_000][dice.roll(4) as usize];
                        change.put(key, vec![dice.roll(256) as u8; length]);
                    }
                }
                model.retain(|key, _| !change.deletes().contains(key));
                model.extend(change.puts().clone());
                let committed = store.commit(at, name, &change).await;
                assert_eq!(committed, Outcome::Committed(Seq(at.seq.0 + 1)), "seed {seed}, step {step}");
                last = Some((at, name, change));
                at.seq = Seq(at.seq.0 + 1);
            }
        }
    }
}
