use super::targets::{target_of, TARGETS};
use super::Levels;
use crate::error::Code;
use tracing::level_filters::LevelFilter;

fn levels(of: &[(&str, &str)]) -> Levels {
    let mut levels = Levels::default();
    for (target, level) in of {
        levels.set(target, level).unwrap();
    }
    levels
}

#[test]
fn a_module_is_told_under_a_name_that_stays() {
    for (module, target) in [
        ("mayfly_core::node::serve", "mayfly::node"),
        ("mayfly_core::node::link", "mayfly::lsp"),
        ("mayfly_core::lsp::lsps4", "mayfly::lsp"),
        ("mayfly_core::store::file::db", "mayfly::store"),
        ("mayfly_core::wallet::ldk_events", "mayfly::wallet"),
        ("mayfly_core::wallet::holdings", "mayfly::onchain"),
        ("mayfly::node", "mayfly::node"),
        ("mayfly::env", "mayfly::process"),
        ("mayfly::store", "mayfly::store"),
        ("ldk", "ldk"),
        ("hickory_proto::udp", "other"),
        // Begins with a module's name, and is none of its.
        ("mayfly_core_of_another::store", "other"),
    ] {
        assert_eq!(target_of(module), target, "{module}");
    }
}

/// Were a module of this crate moved, its records would silently change their name.
#[test]
fn every_module_that_has_a_name_of_its_own_exists() {
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (module, _) in super::targets::MODULES {
        let Some(path) = module.strip_prefix("mayfly_core::") else { continue };
        let path = src.join(path.replace("::", "/"));
        assert!(path.is_dir() || path.with_extension("rs").is_file(), "{module}");
    }
}

#[test]
fn the_longest_name_that_covers_a_target_decides() {
    let levels = levels(&[("mayfly::lsp", "trace"), ("mayfly", "warn"), ("ldk", "off")]);
    assert_eq!(levels.of("mayfly::lsp"), LevelFilter::TRACE);
    assert_eq!(levels.of("mayfly::store"), LevelFilter::WARN);
    assert_eq!(levels.of("ldk"), LevelFilter::OFF);
    assert_eq!(levels.of("other"), LevelFilter::INFO);
    assert_eq!(levels.widest(), LevelFilter::TRACE);
}

#[test]
fn what_is_not_named_has_the_default() {
    let levels = levels(&[("default", "off"), ("mayfly::store", "error")]);
    assert_eq!(levels.of("mayfly::chain"), LevelFilter::OFF);
    assert_eq!(levels.widest(), LevelFilter::ERROR);
    assert_eq!(Levels::of_all("debug").unwrap().of(TARGETS[3]), LevelFilter::DEBUG);
}

#[test]
fn a_level_or_a_target_that_is_none_is_named() {
    let mut levels = Levels::default();
    for (key, level, option) in [
        ("mayfly::lsp", "loud", "minLevel.mayfly::lsp"),
        ("default", "", "minLevel.default"),
        ("mayfly_core::lsp", "info", "minLevel"),
        ("mayfly::", "info", "minLevel"),
    ] {
        let error = levels.set(key, level).unwrap_err();
        assert_eq!((error.code, error.option.as_deref()), (Code::InvalidArgument, Some(option)), "{}", error.message);
    }
    assert_eq!(levels, Levels::default());
    // Silence is `null` for the listener: a level that hears nothing at all is a mistake.
    assert_eq!(Levels::of_all("off").unwrap_err().option.as_deref(), Some("minLevel"));
}

#[test]
fn a_key_that_may_be_a_secret_is_not_shown() {
    let error = Levels::default().set("abandon abandon about", "info").unwrap_err();
    assert!(!error.message.contains("abandon"), "{}", error.message);
}
