//! Every store against the one suite. A new store joins with one line.

#![allow(clippy::unwrap_used, reason = "tests")]

#[macro_use]
mod conformance;

use conformance::Place;
use mayfly_core::config::StoreUrl;
use mayfly_core::store::file::FileStore;
use mayfly_core::store::memory::MemoryWallet;
use mayfly_core::store::sealed::SealedStore;
use mayfly_core::store::{self, StoreKey, WalletId};

const WALLET: WalletId = WalletId([7; 32]);

fn memory() -> impl Place {
    let wallet = MemoryWallet::default();
    move || Box::new(wallet.store()) as _
}

fn file() -> impl Place {
    // The closure owns the scratch folder: it goes when the case is over. The wallet's folder is made by the first claim.
    let scratch = tempfile::tempdir().unwrap();
    move || store::open(&StoreUrl::File(scratch.path().join("wallets")), WALLET, &StoreKey::new([1; 32]))
}

fn sealed_memory() -> impl Place {
    let wallet = MemoryWallet::default();
    move || Box::new(SealedStore::new(wallet.store(), WALLET, &StoreKey::new([1; 32]))) as _
}

fn sealed_file() -> impl Place {
    let scratch = tempfile::tempdir().unwrap();
    move || Box::new(SealedStore::new(FileStore::open(scratch.path(), WALLET), WALLET, &StoreKey::new([1; 32]))) as _
}

store_conformance!(memory_store, super::memory);
store_conformance!(file_store, super::file);
store_conformance!(sealed_memory_store, super::sealed_memory);
store_conformance!(sealed_file_store, super::sealed_file);
