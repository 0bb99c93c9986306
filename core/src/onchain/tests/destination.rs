use super::*;
use crate::error::Code;

const OF_BIP_84: &str = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu";

#[test]
fn addresses_of_every_kind_are_read() {
    for address in [
        OF_BIP_84,
        "BC1QCR8TE4KR609GCAWUTMRZA0J4XV80JY8Z306FYU",
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
    ] {
        assert!(!parse_address(address, Network::Bitcoin).unwrap().is_empty(), "{address}");
    }
    let regtest = "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk";
    assert!(parse_address(regtest, Network::Regtest).unwrap().is_p2wpkh());
}

#[test]
fn an_address_of_another_network_is_refused_and_the_error_says_which_is_ours() {
    let error = parse_address(OF_BIP_84, Network::Regtest).unwrap_err();
    assert_eq!((error.code, error.option.as_deref()), (Code::InvalidArgument, Some("address")));
    assert!(error.message.contains("regtest"), "{error}");
    assert!(parse_address("bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk", Network::Bitcoin).is_err());
}

#[test]
fn what_is_no_address_is_refused_and_shown_on_one_short_line() {
    let long = "x\n".repeat(10_000);
    for text in ["", "bc1q", "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyv", "lnbc1", long.as_str()] {
        let error = parse_address(text, Network::Bitcoin).unwrap_err();
        assert_eq!(error.option.as_deref(), Some("address"));
        assert!(error.message.len() < 300 && !error.message.contains('\n'), "{error}");
    }
}

#[test]
fn a_feerate_is_rounded_up_and_never_below_what_is_relayed() {
    assert_eq!(parse_fee_rate(1.0).unwrap(), 253);
    assert_eq!(parse_fee_rate(1.5).unwrap(), 375);
    assert_eq!(parse_fee_rate(12.345).unwrap(), 3_087);
    assert_eq!(parse_fee_rate(1_000.0).unwrap(), 250_000);
    for wrong in [0.0, 0.99, -5.0, 1_000.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
        let error = parse_fee_rate(wrong).unwrap_err();
        assert_eq!((error.code, error.option.as_deref()), (Code::InvalidArgument, Some("feeRate")), "{wrong}");
    }
}
