//! Pages of the ledger, and what a broken one says.

use crate::error::Code;
use crate::store::memory::MemoryWallet;
use crate::store::{Batch, Claimant, Nonce, Outcome, Store};
use crate::wallet::ledger::{LedgerEntry, Query};

fn entry(number: u8, timestamp_ms: u64) -> LedgerEntry {
    LedgerEntry {
        payment_hash: format!("{number:02x}").repeat(32),
        payment_id: format!("{number:02x}id"),
        amount_msat: u64::from(number) * 1_000,
        skimmed_msat: 0,
        timestamp_ms,
    }
}

async fn ledger(entries: &[LedgerEntry], change: impl FnOnce(&mut Batch)) -> Box<dyn Store> {
    let mut store: Box<dyn Store> = Box::new(MemoryWallet::default().store());
    let claimant = Claimant::of_process(1);
    let at = store.claim_and_load(&claimant).await.unwrap().position;
    let mut batch = Batch::default();
    entries.iter().for_each(|entry| entry.stage(&mut batch).unwrap());
    change(&mut batch);
    assert!(matches!(store.commit(at, Nonce([1; 16]), &batch).await, Outcome::Committed(_)));
    store
}

#[tokio::test]
async fn pages_are_newest_first_and_meet_without_a_gap_also_where_two_came_in_one_millisecond() {
    // Their hashes do not sort as their times do.
    let entries = [entry(9, 1_000), entry(1, 2_000), entry(5, 2_000), entry(3, 2_000), entry(2, u64::MAX)];
    let mut store = ledger(&entries, |_| {}).await;
    let expected = [2u8, 5, 3, 1, 9].map(|number| format!("{number:02x}").repeat(32));
    for limit in 1..=6 {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = Query::page(limit, before.as_deref()).unwrap().answer(store.as_mut()).await.unwrap();
            assert!(page.len() <= usize::try_from(limit).unwrap());
            let Some(last) = page.last() else { break };
            before = Some(last.payment_hash.clone());
            seen.extend(page.into_iter().map(|entry| entry.payment_hash));
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
}

#[tokio::test]
async fn one_payment_is_found_by_its_hash_in_either_case_and_another_is_not() {
    let mut store = ledger(&[entry(0xab, 7), entry(2, 8)], |_| {}).await;
    let found = Query::one(&"AB".repeat(32)).unwrap().answer(store.as_mut()).await.unwrap();
    assert_eq!(found, [entry(0xab, 7)]);
    assert_eq!(Query::one(&"cd".repeat(32)).unwrap().answer(store.as_mut()).await.unwrap(), []);
}

#[tokio::test]
async fn a_page_before_an_unknown_payment_and_a_page_of_nothing_are_refused() {
    let mut store = ledger(&[entry(1, 7)], |_| {}).await;
    let error = Query::page(1, Some(&"cd".repeat(32))).unwrap().answer(store.as_mut()).await.unwrap_err();
    assert_eq!((error.code, error.option.as_deref()), (Code::InvalidArgument, Some("before")));
    for limit in [0, 1_001, u64::MAX] {
        assert_eq!(Query::page(limit, None).unwrap_err().option.as_deref(), Some("limit"));
    }
    for hash in ["", "ab", &"zz".repeat(32), &"é".repeat(32)] {
        assert_eq!(Query::one(hash).unwrap_err().option.as_deref(), Some("paymentHash"));
        assert_eq!(Query::page(1, Some(hash)).unwrap_err().option.as_deref(), Some("before"));
    }
}

#[tokio::test]
async fn a_row_that_is_missing_or_does_not_parse_is_state_corrupt() {
    let key = format!("ledger/{}", "01".repeat(32));
    for broken in [None, Some(b"{".to_vec())] {
        let mut store = ledger(&[entry(1, 7)], |batch| match broken {
            None => batch.delete(key.clone()),
            Some(bytes) => batch.put(key.clone(), bytes),
        })
        .await;
        let error = Query::page(5, None).unwrap().answer(store.as_mut()).await.unwrap_err();
        assert_eq!(error.code, Code::StateCorrupt);
    }
}
