use super::*;

/// Environment variables get mixed up: no secret may show, whichever option it was put into.
#[test]
fn a_secret_in_the_wrong_option_shows_in_no_error() {
    let secrets = [
        ABANDON,
        "postgres://admin:hunter2@db.example/wallets",
        "postgres://admin:hun/ter2@db.example/wallets",
        "https://admin:hunter2@esplora.example/api",
        "https://admin:hunter2@[::1/api",
        "https://esplora.example/api?key=hunter2",
        "https://esplora.example/hunter2/<>",
        "admin:hunter2@db.example:5432",
        "8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1",
    ];
    let options: [fn(&mut RawConfig, String); 9] = [
        |raw, text| raw.network = text,
        |raw, text| raw.esplora_url = text,
        |raw, text| raw.lsp_node_id = text,
        |raw, text| raw.lsp_address = text,
        |raw, text| raw.lsp_protocol = Some(text),
        |raw, text| raw.store = text,
        |raw, text| raw.lease.take_over = Some(text),
        |raw, text| raw.lease.label = Some(text),
        |raw, text| raw.jit_route = Some(RawJitRoute { scid: text, cltv_expiry_delta: 1.0 }),
    ];
    for secret in secrets {
        for set in options {
            // A URL of a database is a store, and shows no more there.
            let shown = match with(|raw| set(raw, secret.to_owned())) {
                Ok(config) if secret.starts_with("postgres:") => format!("{:?}", config.store),
                accepted => {
                    let error = accepted.expect_err(secret);
                    format!("{error} {error:?}")
                }
            };
            for part in ["abandon", "hunter2", "ter2", "admin", "8a5edab2"] {
                assert!(!shown.contains(part), "{part}: {shown}");
            }
        }
    }
}

#[test]
fn debug_of_options_shows_no_secret() {
    let raw = RawConfig { esplora_url: "https://esplora.example/my-key/api".to_owned(), ..good() };
    let shown = format!("{raw:?} {:#?} {:?}", Config::parse(raw.clone()), Config::parse(raw.clone()));
    assert!(shown.contains("https://esplora.example"));
    for secret in ["abandon", "about", "my-key"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
