use super::*;

/// The hook is the process's, and these tests are threads of one: without it the text is all there is.
fn message_of(text: &'static str) -> String {
    guarded("a test", || std::panic::panic_any(text.to_owned())).unwrap_err().message
}

#[test]
fn a_panic_is_internal_with_what_was_done_and_what_was_said() {
    let error = guarded("a test", || std::panic::panic_any("as asked")).unwrap_err();
    assert_eq!(error.code, Code::Internal);
    assert!(error.message.contains("in a test: as asked; "), "{}", error.message);
    assert!(message_of("as asked, formatted").contains(": as asked, formatted; "));
    let error = guarded("a test", || std::panic::panic_any(5)).unwrap_err();
    assert!(error.message.contains(": no message; "), "{}", error.message);
}

#[test]
fn what_does_not_panic_comes_back() {
    assert_eq!(guarded("a test", || 5), Ok(5));
}

#[tokio::test(flavor = "current_thread")]
async fn a_future_that_panics_after_a_wait_is_internal() {
    let waits = async {
        tokio::task::yield_now().await;
        if true {
            std::panic::panic_any("as asked");
        }
    };
    assert_eq!(guarded_future("a test", waits).await.unwrap_err().code, Code::Internal);
    assert_eq!(guarded_future("a test", async { 5 }).await, Ok(5));
}

#[test]
fn values_in_what_a_panic_said_are_not_shown() {
    let hex = "6b".repeat(32);
    let secrets = [
        ("an Err value: \"abandon about\" here", "an Err value: \"…\" here"),
        ("an Err value: \"abandon about", "an Err value: \"…\""),
        ("the seed is [107, 107, 107]", "the seed is […]"),
        ("one line\n left: Preimage(107)", "one line"),
        ("the len is 3 but the index is 5, face", "the len is 3 but the index is 5, face"),
    ];
    for (said, shown) in secrets {
        assert_eq!(redacted(said), shown);
    }
    assert_eq!(redacted(&format!("key {hex}!")), "key …!");
    assert_eq!(redacted(&"z".repeat(300)).chars().count(), MAX_SHOWN + 1);
}

#[test]
fn a_place_in_a_dependency_begins_with_its_name() {
    let home = "/home/somebody/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/lightning-0.2.7/src/ln/channel.rs";
    assert_eq!(file_shown(home), "lightning-0.2.7/src/ln/channel.rs");
    assert_eq!(file_shown("core/src/keys.rs"), "core/src/keys.rs");
}
