//! Every store against the one suite. A new store joins with one line.

#![allow(clippy::unwrap_used, reason = "tests")]

#[macro_use]
mod conformance;

use conformance::Place;
use mayfly_core::config::StoreUrl;
use mayfly_core::store::memory::MemoryWallet;
use mayfly_core::store::{self, WalletId};

fn memory() -> impl Place {
    let wallet = MemoryWallet::default();
    move || Box::new(wallet.store()) as _
}

fn file() -> impl Place {
    // The closure owns the scratch folder: it goes when the case is over. The wallet's folder is made by the first claim.
    let scratch = tempfile::tempdir().unwrap();
    move || store::open(&StoreUrl::File(scratch.path().join("wallets")), WalletId([7; 32]))
}

store_conformance!(memory_store, super::memory);
store_conformance!(file_store, super::file);
