//! A store that stands on another server than the last commit: what it may have lost, only the LSP knows.

use super::till::Till;

fn doubts(till: &Till) -> bool {
    till.wallet.loaded.broadcasts().is_doubt_firm()
}

#[tokio::test]
async fn a_store_that_moved_is_doubted_in_every_later_session_until_the_lsp_has_confirmed_the_channels() {
    let mut till = Till::open().await;
    till.die().await;
    assert!(!doubts(&till), "it stands where it stood");
    till.desk.moves();
    till.die().await;
    assert!(doubts(&till));
    let _ = till.wallet.commit().await.unwrap();
    // Its record names the new server by now; the doubt stands beside it.
    till.die().await;
    assert!(doubts(&till));
    till.connect();
    till.settle().await.unwrap();
    assert!(!doubts(&till), "the LSP has seen nothing newer");
    let _ = till.wallet.commit().await.unwrap();
    till.die().await;
    assert!(!doubts(&till));
}
