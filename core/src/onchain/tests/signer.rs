use super::*;
use crate::config::Mnemonic;
use crate::keys::Keys;
use bitcoin::Network;

const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn keys() -> Keys {
    Keys::derive(&Mnemonic::parse(ABANDON).unwrap(), Network::Regtest).unwrap()
}

#[test]
fn a_channel_pays_back_to_the_addresses_that_serve_and_never_to_one_for_both() {
    let keys = keys();
    let signer = keys.manager();
    for serving in [Serving::default(), Serving { external: 4, internal: 4 }, Serving { external: 5, internal: 7 }] {
        signer.serve(serving);
        let script = |chain, index| keys.account().script(Place { chain, index }).unwrap();
        let (destination, shutdown) =
            (script(Chain::Internal, serving.internal), script(Chain::External, serving.external));
        assert_eq!(signer.get_destination_script([3; 32]).unwrap(), destination);
        assert_eq!(signer.get_shutdown_scriptpubkey().unwrap().into_inner(), shutdown);
        assert_ne!(destination, shutdown);
    }
}

#[test]
fn without_an_account_ldk_pays_to_its_own_keys() {
    let ldk = KeysManager::new(&[7; 32], 1, 2, true);
    let (destination, shutdown) =
        (ldk.get_destination_script([0; 32]).unwrap(), ldk.get_shutdown_scriptpubkey().unwrap());
    let signer = Signer::plain(ldk);
    signer.serve(Serving { external: 3, internal: 3 });
    assert_eq!(signer.get_destination_script([0; 32]).unwrap(), destination);
    assert!(signer.get_shutdown_scriptpubkey().unwrap() == shutdown);
}
