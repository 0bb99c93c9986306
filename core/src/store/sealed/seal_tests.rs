#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const NAME: &str = "hot/00/11";

fn seal() -> Seal {
    Seal::new(&StoreKey::new([1; 32]), WalletId([2; 32]))
}

fn closed() -> Vec<u8> {
    seal().close(NAME, Seq(7), "manager", b"a channel manager").unwrap()
}

#[test]
fn a_value_comes_back_with_its_key_and_the_number_of_its_commit() {
    for (key, value) in [("manager", b"value".to_vec()), ("", Vec::new()), ("é/\u{10ffff}", vec![7; 100_000])] {
        let stored = seal().close(NAME, Seq(7), key, &value).unwrap();
        assert_eq!(stored.len(), 53 + key.len() + value.len());
        assert_eq!(seal().open(NAME, &stored), Ok(Opened { seq: Seq(7), key: key.to_owned(), value }));
    }
}

#[test]
fn the_same_value_is_never_stored_as_the_same_bytes() {
    let (first, second) = (closed(), closed());
    let same = first.iter().zip(&second).skip(HEAD).filter(|(a, b)| a == b).count();
    assert!(same < 8, "{same} bytes of ciphertext are the same");
}

#[test]
fn whichever_bit_flips_it_does_not_open() {
    let whole = closed();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut stored = whole.clone();
            stored[at] ^= 1 << bit;
            assert!(seal().open(NAME, &stored).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn whatever_is_cut_off_or_added_it_does_not_open() {
    let whole = closed();
    for length in 0..whole.len() {
        assert!(seal().open(NAME, &whole[..length]).is_err(), "the first {length} bytes");
        assert!(seal().open(NAME, &whole[whole.len() - length..]).is_err(), "the last {length} bytes");
    }
    for more in 0..=255 {
        assert!(seal().open(NAME, &[whole.as_slice(), &[more]].concat()).is_err());
    }
}

#[test]
fn it_opens_under_its_name_in_its_wallet_with_its_key_alone() {
    let whole = closed();
    assert!(seal().open(NAME, &whole).is_ok());
    assert_eq!(seal().open("hot/00/12", &whole), Err(Broken::Foreign));
    assert_eq!(Seal::new(&StoreKey::new([1; 32]), WalletId([3; 32])).open(NAME, &whole), Err(Broken::Foreign));
    assert_eq!(Seal::new(&StoreKey::new([2; 32]), WalletId([2; 32])).open(NAME, &whole), Err(Broken::Foreign));
}

#[test]
fn a_format_of_the_future_is_said_to_be_one() {
    let mut stored = closed();
    stored[0] = 9;
    assert_eq!(seal().open(NAME, &stored), Err(Broken::Newer(9)));
}

/// A row of today must open in ten years: the bytes of one, from the first version of this code.
#[test]
fn a_row_that_was_sealed_long_ago_still_opens() {
    const STORED: &str = "010000000000000007072581e6cbf351e6582ab4f6808d1fa7e027c79026c38f99051cfbdf7d42880a50907b1a7c52c64a697b1c0b4366a2ab4c8f23b119e96724f296c4e0b0fb4240a9ba77cd";
    let stored = <Vec<u8> as bitcoin::hex::FromHex>::from_hex(STORED).unwrap();
    let opened = Opened { seq: Seq(7), key: "manager".to_owned(), value: b"a channel manager".to_vec() };
    assert_eq!(seal().open(NAME, &stored), Ok(opened));
}
