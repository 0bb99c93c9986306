use super::*;

type Set = fn(&mut RawConfig, f64);

/// Every number option: its name, how to set it, its least and its greatest value.
const NUMBERS: [(&str, Set, f64, f64); 16] = [
    ("lease.ttlMs", |raw, n| raw.lease.ttl_ms = Some(n), 2_000.0, 600_000.0),
    ("lease.attempts", |raw, n| raw.lease.attempts = Some(n), 1.0, 1_000.0),
    ("lease.baseDelayMs", |raw, n| raw.lease.base_delay_ms = Some(n), 1.0, 60_000.0),
    ("lease.maxWaitMs", |raw, n| raw.lease.max_wait_ms = Some(n), 0.0, 900_000.0),
    ("destroyTimeoutMs", |raw, n| raw.destroy_timeout_ms = Some(n), 1.0, 10_000.0),
    ("maxIdleMs", |raw, n| raw.max_idle_ms = Some(n), 0.0, 86_400_000.0),
    ("maxSkimPpm", |raw, n| raw.max_skim_ppm = Some(n), 0.0, 1_000_000.0),
    ("maxSkimBaseMsat", |raw, n| raw.max_skim_base_msat = Some(n), 0.0, 9_007_199_254_740_991.0),
    ("timeouts.chainMs", |raw, n| raw.timeouts.chain_ms = Some(n), 1.0, 900_000.0),
    ("timeouts.syncMs", |raw, n| raw.timeouts.sync_ms = Some(n), 1.0, 900_000.0),
    ("timeouts.storeMs", |raw, n| raw.timeouts.store_ms = Some(n), 1.0, 10_000.0),
    ("timeouts.connectMs", |raw, n| raw.timeouts.connect_ms = Some(n), 1.0, 25_000.0),
    ("timeouts.lspMs", |raw, n| raw.timeouts.lsp_ms = Some(n), 1.0, 900_000.0),
    ("timeouts.lspRequestMs", |raw, n| raw.timeouts.lsp_request_ms = Some(n), 1.0, 25_000.0),
    ("timeouts.stopMs", |raw, n| raw.timeouts.stop_ms = Some(n), 1.0, 900_000.0),
    ("timeouts.commitMs", |raw, n| raw.timeouts.commit_ms = Some(n), 1.0, 900_000.0),
];

#[test]
fn every_number_is_a_whole_one_in_its_range() {
    for (name, set, least, greatest) in NUMBERS {
        for good in [least, greatest] {
            with(|raw| set(raw, good)).expect(name);
        }
        for bad in [least - 1.0, greatest + 1.0, least + 0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e300, 1e300]
        {
            refused(name, |raw| set(raw, bad));
        }
    }
    assert_eq!(
        refused("lease.ttlMs", |raw| raw.lease.ttl_ms = Some(1.5)),
        "lease.ttlMs is 1.5, which has a fraction; it must be a whole number from 2000 to 600000"
    );
}

#[test]
fn numbers_at_the_edges_of_what_javascript_holds_are_read_exactly_or_refused() {
    assert_eq!(safe_integer("n", -0.0, 0..=1), Ok(0));
    assert_eq!(safe_integer("n", MAX_SAFE_INTEGER as f64, 0..=u64::MAX), Ok(MAX_SAFE_INTEGER));
    for value in [9_007_199_254_740_992.0, 1e20, -1.0, f64::MIN_POSITIVE, f64::MAX] {
        assert_eq!(safe_integer("n", value, 0..=u64::MAX).unwrap_err().code, Code::InvalidOption);
    }
    let error = safe_argument("amountMsat", 0.0, 1..=5).unwrap_err();
    assert_eq!((error.code, error.option.as_deref()), (Code::InvalidArgument, Some("amountMsat")));
    assert_eq!(error.message, "amountMsat is 0; it must be a whole number from 1 to 5");
}

#[test]
fn who_may_be_taken_over_is_one_of_two_words() {
    for given in ["", "Expired", "always"] {
        refused("lease.takeOver", |raw| raw.lease.take_over = Some(given.to_owned()));
    }
}

#[test]
fn a_label_is_short_visible_and_no_secret() {
    let given = |label: &str| with(|raw| raw.lease.label = Some(label.to_owned())).map(|config| config.label);
    for label in ["shop", "eu-west-1 / checkout #3", &"x".repeat(64), &"é".repeat(32), " "] {
        assert_eq!(given(label).unwrap().as_deref(), Some(label));
    }
    assert_eq!(given("").unwrap(), None);
    let key = "ab".repeat(32);
    for label in [
        &"x".repeat(65),
        &"é".repeat(33),
        "a\nb",
        "a\0",
        "\u{202e}x",
        "\u{feff}x",
        "a\u{200b}",
        &key,
        "u:p@host",
        "pg://x",
    ] {
        let error = given(label).unwrap_err();
        assert_eq!((error.code, error.option.as_deref()), (Code::InvalidOption, Some("lease.label")), "{label:?}");
    }
}

#[test]
fn a_wait_inside_another_is_never_longer() {
    let short = with(|raw| {
        raw.timeouts.lsp_ms = Some(1_000.0);
        raw.timeouts.commit_ms = Some(2_000.0);
        raw.timeouts.sync_ms = Some(3_000.0);
    });
    let timeouts = short.unwrap().timeouts;
    assert_eq!(timeouts.connect, Duration::from_millis(1_000));
    assert_eq!(timeouts.lsp_request, Duration::from_millis(1_000));
    assert_eq!(timeouts.chain, Duration::from_millis(3_000));
    assert_eq!(timeouts.store, Duration::from_millis(2_000));
    let message = refused("timeouts.connectMs", |raw| {
        raw.timeouts.lsp_ms = Some(1_000.0);
        raw.timeouts.connect_ms = Some(1_001.0);
    });
    assert!(message.contains("timeouts.lspMs (1000)"), "{message}");
    refused("timeouts.chainMs", |raw| {
        raw.timeouts.sync_ms = Some(1_000.0);
        raw.timeouts.chain_ms = Some(1_001.0);
    });
}

#[test]
fn a_sync_has_at_least_the_time_of_one_of_its_requests() {
    let patient = with(|raw| raw.timeouts.chain_ms = Some(60_000.0)).unwrap().timeouts;
    assert_eq!((patient.chain, patient.sync), (Duration::from_secs(60), Duration::from_secs(60)));
}
