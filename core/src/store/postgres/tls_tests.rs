use super::*;
use rcgen::{KeyPair, SignatureAlgorithm, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

fn certificate(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.self_signed(&key).unwrap().der().to_vec()
}

#[test]
fn a_login_is_bound_to_the_certificate_by_the_hash_of_its_signature() {
    let p256 = certificate(&PKCS_ECDSA_P256_SHA256);
    assert_eq!(end_point(&p256).unwrap(), sha256::Hash::hash(&p256).to_byte_array());
    let p384 = certificate(&PKCS_ECDSA_P384_SHA384);
    assert_eq!(end_point(&p384).unwrap(), sha384::Hash::hash(&p384).to_byte_array());
    // Ed25519 signs without one: there is nothing to bind to.
    assert_eq!(end_point(&certificate(&PKCS_ED25519)), None);
}

#[test]
fn a_certificate_that_is_cut_off_or_spoilt_binds_to_nothing_or_to_itself_and_never_panics() {
    let whole = certificate(&PKCS_ECDSA_P256_SHA256);
    for length in 0..whole.len() {
        assert_eq!(end_point(&whole[..length]), None);
    }
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut spoilt = whole.clone();
            spoilt[place] ^= 1 << bit;
            if let Some(hash) = end_point(&spoilt) {
                assert!([32, 48, 64].contains(&hash.len()));
                assert_ne!(hash, sha256::Hash::hash(&whole).to_byte_array());
            }
        }
    }
}
