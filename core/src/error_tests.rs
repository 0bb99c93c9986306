use super::*;

fn holder(pid: Option<u32>, host: Option<&str>) -> Option<Holder> {
    Some(Holder { pid, host: host.map(str::to_owned), since_ms: 1_795_272_000_123, epoch: 3 })
}

#[test]
fn a_locked_wallet_names_its_holder_and_since_when() {
    for (holder, who) in [
        (holder(Some(77), None), "pid 77 since 2026-11-21T14:40:00.123Z;"),
        (holder(Some(77), Some("lambda-1")), "pid 77 since 2026-11-21T14:40:00.123Z (on lambda-1);"),
        (holder(None, Some("lambda-1")), "another process;"),
        (None, "another process;"),
    ] {
        let error = Error::locked(holder.clone(), Duration::from_millis(250));
        assert!(error.message.starts_with(&format!("the wallet is locked by {who}")), "{error}");
        assert_eq!((error.code, error.holder), (Code::WalletLocked, holder));
    }
}
